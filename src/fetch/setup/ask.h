/* Questions to a person at the terminal; for setup.c. */
#ifndef FETCH_SETUP_ASK_H
#define FETCH_SETUP_ASK_H

#include <stdbool.h>
#include <stddef.h>

/* Whether there is somebody: standard input is a terminal, and questions are wanted. */
bool ask_possible(bool no_questions);
/* The answer to the question, what is offered when it is empty. false: standard input has ended. */
bool ask_text(const char *question, const char *offered, char *out, size_t size);
bool ask_yes(const char *question);

#endif
