#include "base/a.h"

int main(void)
{
    return a() == 1 ? 0 : 1;
}
