/*
 * One question to PAM: whether a password is right, and whether its user may log in now. Runs in a
 * child of the PAM server, as root, with one thread, for one question: modules keep globals, leak,
 * and may hang; the child ends afterwards in any case. No session is opened and no credentials are
 * set: nothing of the user runs here.
 */
#ifndef LOOKUP_SYSTEM_PAM_H
#define LOOKUP_SYSTEM_PAM_H

#include "lookup/system/frame.h"

/* user: as the system spells it. *ret_detail: of VERDICT_DOWN. */
enum verdict pam_ask(const char *service, const char *user, const char *address, char *secret,
		     uint32_t *ret_detail);
/* The words for a code of PAM; they live as long as the program. */
const char *pam_words(uint32_t code);

#endif
