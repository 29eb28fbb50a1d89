/*
 * Texts of a front that are no reasons, in each language of LANG. A language without its text does
 * not compile: every switch names all.
 */
#ifndef SERVER_FRONT_WORDS_H
#define SERVER_FRONT_WORDS_H

#include "ipc/messages.h"

#include <stddef.h>

/* The reply to QUIT. Lives for ever. */
const char *words_bye(enum pop3_language language);
/* Another session has the maildrop, and so much is known of it. */
void words_in_use(enum pop3_language language, const struct ipc_open_in_use *message, char *buf,
		  size_t size);

#endif
