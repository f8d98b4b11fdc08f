const char *url = "http://example.test/"; /* see // here */
int debugging; // look
char quote = '"'; // again
const char *tricky = "\"// text";
