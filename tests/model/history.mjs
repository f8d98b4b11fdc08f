/* What clients asked and heard, and when: moments are counted, not timed. Of two operations one was
 * before the other when it had its reply before the other was sent; else they were at once. */
export class History {
  #moment = 0;
  operations = [];

  /* send() and remember. facts: what is known of it beforehand. → the operation */
  async record(kind, facts, send) {
    const operation = { kind, ...facts, begin: ++this.#moment, end: Infinity, reply: null };
    this.operations.push(operation);
    operation.reply = await send();
    operation.end = ++this.#moment;
    return operation;
  }

  of(...kinds) {
    return this.operations.filter(({ kind }) => kinds.includes(kind));
  }
}

export const isReplay = ({ reply }) => reply.headers["idempotent-replayed"] === "true";

export function groupBy(items, keyOf) {
  const groups = new Map();
  for (const item of items) {
    const key = keyOf(item);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(item);
  }
  return groups;
}

/* Walk operations in the order they began; told(fact) has been called for everything that was over
 * before each. */
export function inOrder(operations, over, begun) {
  const ends = [...operations].sort((a, b) => a.end - b.end);
  let next = 0;
  for (const operation of [...operations].sort((a, b) => a.begin - b.begin)) {
    while (next < ends.length && ends[next].end < operation.begin) over(ends[next++]);
    begun(operation);
  }
}
