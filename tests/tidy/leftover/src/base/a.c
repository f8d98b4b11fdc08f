/* FIXME later */
int a; /* XXX */
