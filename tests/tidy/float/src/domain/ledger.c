/* No float, no 0.2 in a comment. */
double rate;
float  share;
int    fee = 0.2 * 100;
int    whole = 3;
int    dot = a.b;
