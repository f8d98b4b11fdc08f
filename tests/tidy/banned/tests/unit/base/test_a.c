int value = atoi("1");
