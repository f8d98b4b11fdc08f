/* The built-in checkout page: what a purchase is, and its two buttons. */
#ifndef FIRSTHAND_WEB_CHECKOUT_PAGE_H
#define FIRSTHAND_WEB_CHECKOUT_PAGE_H

#include "api/api.h"

handler_fn get_checkout_page, pay_checkout, cancel_checkout;

#endif
