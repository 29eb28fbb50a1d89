/*
 * The answer of a database becomes a finding: every field is judged by the function that judges the
 * users file. Lookup processes are hostile: they speak with networks and have large libraries. In
 * auth, on its loop, and in `valija user`.
 */
#ifndef USERS_JUDGE_H
#define USERS_JUDGE_H

#include "config/config.h"
#include "users/directory.h"

/* fields: of an answer FOUND, name NUL value NUL …, of size octets, whose row was checked. name:
 * that was asked about, in its canonical form; "": the token says whose it is. Returns a finding
 * (the caller frees it): USERS_FOUND, or USERS_UNSERVED with why; NULL: no memory. */
struct finding *judge_answer(const struct config *config, const struct config_database *database,
			     const char *name, const char *fields, size_t size);

#endif
