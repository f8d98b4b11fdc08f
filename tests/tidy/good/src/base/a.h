/* A number. */
#ifndef FIRSTHAND_BASE_A_H
#define FIRSTHAND_BASE_A_H

int a(void);

#endif
