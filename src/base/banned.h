/*
 * banned.h: C functions that have no place here, as compile errors.
 *
 * They write without a bound, cannot report an error, keep hidden state or depend on the locale.
 * What to use: buffer_printf, arena_printf and snprintf; memcpy; text_parse_...; random_below;
 * gmtime_r. What is forbidden only outside of base (malloc, the clocks, threads) scripts/check
 * finds.
 */
#ifndef GLIS_BASE_BANNED_H
#define GLIS_BASE_BANNED_H

/* Their own headers first, for they may not be named after this. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BANNED_FUNCTION(name) use_of_banned_function_##name

#undef strcpy
#define strcpy(...) BANNED_FUNCTION(strcpy)
#undef strncpy
#define strncpy(...) BANNED_FUNCTION(strncpy)
#undef strcat
#define strcat(...) BANNED_FUNCTION(strcat)
#undef strncat
#define strncat(...) BANNED_FUNCTION(strncat)
#undef strtok
#define strtok(...) BANNED_FUNCTION(strtok)
#undef sprintf
#define sprintf(...) BANNED_FUNCTION(sprintf)
#undef vsprintf
#define vsprintf(...) BANNED_FUNCTION(vsprintf)
#undef atoi
#define atoi(...) BANNED_FUNCTION(atoi)
#undef atol
#define atol(...) BANNED_FUNCTION(atol)
#undef atoll
#define atoll(...) BANNED_FUNCTION(atoll)
#undef atof
#define atof(...) BANNED_FUNCTION(atof)
#undef rand
#define rand(...) BANNED_FUNCTION(rand)
#undef srand
#define srand(...) BANNED_FUNCTION(srand)
#undef gmtime
#define gmtime(...) BANNED_FUNCTION(gmtime)
#undef localtime
#define localtime(...) BANNED_FUNCTION(localtime)
#undef ctime
#define ctime(...) BANNED_FUNCTION(ctime)
#undef asctime
#define asctime(...) BANNED_FUNCTION(asctime)
#undef tmpnam
#define tmpnam(...) BANNED_FUNCTION(tmpnam)
#undef mktemp
#define mktemp(...) BANNED_FUNCTION(mktemp)
#undef system
#define system(...) BANNED_FUNCTION(system)
#undef popen
#define popen(...) BANNED_FUNCTION(popen)

#endif
