#include "base/time_text.h"

#include "base/num.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void split(int64_t time_ms, struct tm *ret_tm)
{
    CHECK(time_ms >= 0 && time_ms <= TIME_MS_MAX);
    time_t seconds = (time_t)(time_ms / MS_PER_SECOND);
    CHECK(gmtime_r(&seconds, ret_tm) != NULL);
}

static void put_digits(char *at, int count, int value)
{
    while (count-- > 0) {
        at[count] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* Two or four digits, masked so that the compiler sees the width; split() bounds the values. */
static unsigned digits(int value, unsigned modulus)
{
    return (unsigned)value % modulus;
}

void time_format(int64_t time_ms, char text[TIME_TEXT_BYTES])
{
    struct tm tm;
    split(time_ms, &tm);
    memcpy(text, "YYYY-MM-DDThh:mm:ss.000Z", TIME_TEXT_BYTES);
    put_digits(text, 4, tm.tm_year + 1900);
    put_digits(text + 5, 2, tm.tm_mon + 1);
    put_digits(text + 8, 2, tm.tm_mday);
    put_digits(text + 11, 2, tm.tm_hour);
    put_digits(text + 14, 2, tm.tm_min);
    put_digits(text + 17, 2, tm.tm_sec);
    put_digits(text + 20, 3, (int)(time_ms % MS_PER_SECOND));
}

void time_format_http(int64_t time_ms, char text[TIME_HTTP_BYTES])
{
    static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    struct tm         tm;
    split(time_ms, &tm);
    snprintf(text, TIME_HTTP_BYTES, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[tm.tm_wday],
             digits(tm.tm_mday, 100), months[tm.tm_mon], digits(tm.tm_year + 1900, 10000),
             digits(tm.tm_hour, 100), digits(tm.tm_min, 100), digits(tm.tm_sec, 100));
}

/* Exactly count digits from the start of *s. */
static bool take_digits(struct str *s, size_t count, int *ret_value)
{
    if (s->len < count) return false;
    int value = 0;
    for (size_t i = 0; i < count; i++) {
        if (s->data[i] < '0' || s->data[i] > '9') return false;
        value = value * 10 + (s->data[i] - '0');
    }
    *s = str_skip(*s, count);
    *ret_value = value;
    return true;
}

static bool take_byte(struct str *s, const char *allowed)
{
    if (s->len == 0 || s->data[0] == '\0' || strchr(allowed, s->data[0]) == NULL) return false;
    *s = str_skip(*s, 1);
    return true;
}

static bool take_fraction_ms(struct str *s, int *ret_ms)
{
    *ret_ms = 0;
    if (!take_byte(s, ".")) return true;
    int scale = 100, digit, count = 0;
    while (take_digits(s, 1, &digit)) {
        *ret_ms += digit * scale;
        scale /= 10;
        count++;
    }
    return count > 0;
}

static bool take_offset_minutes(struct str *s, int *ret_minutes)
{
    *ret_minutes = 0;
    if (take_byte(s, "Zz")) return true;
    if (s->len == 0) return false;
    int sign = s->data[0] == '-' ? -1 : 1;
    int hours, minutes;
    if (!take_byte(s, "+-") || !take_digits(s, 2, &hours) || !take_byte(s, ":") ||
        !take_digits(s, 2, &minutes))
        return false;
    *ret_minutes = sign * (hours * 60 + minutes);
    return hours < 24 && minutes < 60;
}

static bool is_real_date(int year, int month, int day)
{
    static const int days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (month < 1 || month > 12 || day < 1) return false;
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= days[month - 1] + (month == 2 && is_leap);
}

bool time_parse(struct str text, int64_t *ret_time_ms)
{
    int  year, month, day, hour, minute, second, fraction_ms, offset_minutes;
    bool is_well_formed = take_digits(&text, 4, &year) && take_byte(&text, "-") &&
                          take_digits(&text, 2, &month) && take_byte(&text, "-") &&
                          take_digits(&text, 2, &day) && take_byte(&text, "Tt ") &&
                          take_digits(&text, 2, &hour) && take_byte(&text, ":") &&
                          take_digits(&text, 2, &minute) && take_byte(&text, ":") &&
                          take_digits(&text, 2, &second) && take_fraction_ms(&text, &fraction_ms) &&
                          take_offset_minutes(&text, &offset_minutes) && text.len == 0;
    if (!is_well_formed || !is_real_date(year, month, day)) return false;
    if (hour > 23 || minute > 59 || second > 60) return false;

    struct tm tm = { .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day };
    int64_t   seconds = (int64_t)timegm(&tm);
    seconds += hour * 3600 + (minute - offset_minutes) * 60 + second;
    int64_t time_ms = seconds * MS_PER_SECOND + fraction_ms;
    if (time_ms > TIME_MS_MAX) return false;
    *ret_time_ms = time_ms;
    return true;
}

int64_t time_add_year(int64_t time_ms)
{
    struct tm tm;
    split(time_ms, &tm);
    tm.tm_year++;
    return num_min((int64_t)timegm(&tm) * MS_PER_SECOND + time_ms % MS_PER_SECOND, TIME_MS_MAX);
}
