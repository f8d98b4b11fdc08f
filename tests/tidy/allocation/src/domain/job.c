static void job_read(struct job *job)
{
    job->title = strdup("malloc(1)");
    char *text = malloc(10);
    text = realloc(text, 20);
    free(text);
}
