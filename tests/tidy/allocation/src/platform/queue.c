PRINTF_LIKE(1, 2)
struct queue *queue_open(void)
{
    return calloc(1, sizeof(struct queue));
}

void queue_close(struct queue *queue)
{
    free(queue);
}

void queue_push(struct queue *queue)
{
    queue->items = calloc(1, 10);
}
