static void *block_new(void)
{
    return malloc(1);
}
