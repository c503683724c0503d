/* Uses every byte that malloc_usable_size promises, as redis does, and reallocates: nothing of it may be lost. Prints "done",
 * or what was lost. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    for (size_t bytes = 1; bytes < 300000; bytes += bytes / 7 + 1) {
        for (size_t wanted = bytes / 3 + 1; wanted < bytes * 4; wanted += bytes / 2 + 1) {
            char *object = malloc(bytes);
            size_t usable = malloc_usable_size(object);
            if (usable < bytes) {
                printf("%zu bytes of %zu are usable\n", usable, bytes);
                return 1;
            }
            for (size_t i = 0; i < usable; i++) object[i] = (char)(i * 31 + 1);
            object = realloc(object, wanted);
            for (size_t i = 0; i < usable && i < wanted; i++)
                if (object[i] != (char)(i * 31 + 1)) {
                    printf("byte %zu of %zu is lost from %zu to %zu\n", i, usable, bytes, wanted);
                    return 1;
                }
            free(object);
        }
    }
    puts("done");
    return 0;
}
