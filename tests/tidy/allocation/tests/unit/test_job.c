void *exact = malloc(1);
