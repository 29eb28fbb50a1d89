/*
 * The terminal of `valija top`: lines that are cut at its width, keys, and its state before, which
 * comes back however the command ends. Where standard output is no terminal, lines of 80 columns
 * and a screen of 24. One at a time in a process.
 */
#ifndef CLI_TOP_SCREEN_H
#define CLI_TOP_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

enum { SCREEN_NEXT = 256, SCREEN_BACK, SCREEN_END };

/* Whether there is a terminal to draw on and to type at. */
bool screen_is_one(void);
unsigned screen_height(void);
/* Shows another screen, keys come at once; and the one before again. */
void screen_enter(void);
void screen_leave(void);
/* A picture: begin, lines from the top on, end. */
void screen_begin(void);
void screen_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
void screen_end(void);
/* The next key, an arrow as NEXT or BACK; 0: none for so long; END: the terminal is gone, or a
 * signal says that it is enough. */
int screen_key(int ms);
/* A line that the person types. False: nothing. */
bool screen_ask(const char *question, char *buf, size_t size);
/* Waits for Enter, after what another program printed. */
void screen_pause(void);

#endif
