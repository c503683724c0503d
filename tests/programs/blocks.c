/* blocks KIB COUNT SMALL: allocates COUNT blocks of KIB KiB with SMALL small allocations before each of them, and ends with all
 * of them live. */
#include <stdlib.h>

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    size_t bytes = (size_t)atol(argv[1]) << 10;
    long count = atol(argv[2]), small = atol(argv[3]);
    char *volatile last;
    for (long i = 0; i < count; i++) {
        for (long j = 0; j < small; j++)
            last = malloc(40);
        last = malloc(bytes);
        *last = 1;
    }
    return 0;
}
