/* Runs a fuzz target over files: what the committed corpora do as plain tests. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CORPUS_FILE_BYTES_MAX = 4 << 20 };

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (file == NULL) {
            perror(argv[i]);
            return 1;
        }
        uint8_t *data = malloc(CORPUS_FILE_BYTES_MAX);
        size_t   size = fread(data, 1, CORPUS_FILE_BYTES_MAX, file);
        fclose(file);
        /* An exact-size copy, so that reading one byte too far is seen. */
        uint8_t *exact = malloc(size ? size : 1);
        for (size_t at = 0; at < size; at++)
            exact[at] = data[at];
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
        free(data);
    }
    printf("%d inputs passed\n", argc - 1);
    return 0;
}
