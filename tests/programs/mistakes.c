/* Makes one mistake with the heap, for which glibc ends a program. usage: mistakes WHICH */
#include "holds.h"

SITE void release(void *object) { free(object); }

int main(int argc, char **argv)
{
    const char *which = argc > 1 ? argv[1] : "";
    /* Several, so that some neighbour exists on either side. */
    char *objects[8];
    static char foreign[256] __attribute__((aligned(16)));
    for (int i = 0; i < 8; i++)
        objects[i] = kept(malloc(plain(strcmp(which, "double_large") == 0 ? 300000 : 100)));
    if (strcmp(which, "double") == 0) {
        release(objects[3]);
        release(objects[3]);
    } else if (strcmp(which, "double_large") == 0) {
        release(objects[3]);
        release(objects[3]);
    } else if (strcmp(which, "inside") == 0) {
        release(objects[3] + 32);
    } else if (strcmp(which, "foreign") == 0) {
        release(foreign + 64);
    } else if (strcmp(which, "realloc_freed") == 0) {
        release(objects[3]);
        objects[3] = kept(realloc(objects[3], plain(5000)));
    }
    return 0;
}
