/*
 * The file of learned passwords: what another server has accepted of users whose mail moves here
 * from it (remote section with learn, field migrate), sealed (base/seal.h), so that only root's
 * private key opens it. Lines are appended; the latest one of a section and name counts, and a
 * rewriting of the file leaves that one alone. It lies beside the file of last logins. The process
 * logins (server/logins) appends and rewrites, `valija migrate` reads.
 */
#ifndef USERS_LEARNED_H
#define USERS_LEARNED_H

#include "base/err.h"
#include "base/seal.h"
#include "users/names.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

#define LEARNED_FILE "passwords"
#define LEARNED_SECTION_MAX 63
#define LEARNED_LINE_MAX 2048 /* with its end and a NUL */
#define LEARNED_LABEL_MAX (LEARNED_SECTION_MAX + 1 + USER_NAME_MAX)
#define LEARNED_MAX (1u << 30)         /* octets of the file */
#define LEARNED_ENTRIES_MAX (4u << 20) /* that are told apart */

struct learned {
	char section[LEARNED_SECTION_MAX + 1]; /* whose server accepted it */
	char name[USER_NAME_MAX + 1];          /* canonical: user_name_key */
	char sealed[SEAL_TEXT_SIZE + 1];
};

/* Fills *ret. -1: one of them is none. */
int learned_set(struct learned *ret, pop3_span section, pop3_span name, pop3_span sealed);
/* What the password is sealed for; lives in buf. */
pop3_span learned_label(pop3_span section, pop3_span name, char buf[LEARNED_LABEL_MAX]);
/* Writes the line with its end. Returns its size. */
size_t learned_print(const struct learned *learned, char buf[LEARNED_LINE_MAX]);
/* Reads a line without its end. -1: it is none. */
int learned_parse(pop3_span line, struct learned *ret);

/* Appends whole lines. sync: they are on the disk when 0 is returned. ret_size: of the file,
 * afterwards. */
int learned_append(int folder_fd, pop3_span lines, bool sync, uint64_t *ret_size, struct err *err);
/* Leaves the line that counts of each section and name. Nothing is done if there is no file. */
int learned_compact(int folder_fd, uint64_t *ret_size, struct err *err);
/* Calls visit for each line that is one, in order. No file: for none. */
typedef void learned_visit(void *context, const struct learned *learned);
int learned_each(int folder_fd, learned_visit *visit, void *context, struct err *err);

#endif
