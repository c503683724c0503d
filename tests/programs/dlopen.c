/* Loads the library named by its argument, lets it allocate, unloads it, and does that again and again, with several
 * libraries in turn. Holds 10 objects of 4099 bytes per round. usage: dlopen LIBRARY.. ROUNDS */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    for (long round = atol(argv[argc - 1]); round > 0; round--) {
        void *library = dlopen(argv[1 + round % (argc - 2)], RTLD_NOW);
        if (!library)
            return 3;
        void *(*make)(unsigned long) = (void *(*)(unsigned long))dlsym(library, "library_makes");
        for (int i = 0; i < 10; i++)
            if (!make(4099))
                return 4;
        if (dlclose(library) != 0)
            return 5;
    }
    char byte = 0;
    puts("ready");
    fflush(stdout);
    while (read(0, &byte, 1) == 1 && byte != '\n') {
    }
    return 0;
}
