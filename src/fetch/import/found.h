/*
 * Findings in the files of another fetcher, for import.c: accounts, the unique ids that it has
 * collected, and remarks for the person, each with file and line. The readers (fetchmail.c, mpop.c,
 * getmail.c, thunderbird.c) are pure: text in, this out. Files are the user's own, but may be wrong
 * in any way. The process of `valija fetch import`, as the user.
 */
#ifndef FETCH_IMPORT_FOUND_H
#define FETCH_IMPORT_FOUND_H

#include "fetch/account/account.h"

#include <pop3/span.h>

#include <stddef.h>

enum {
	IMPORT_ACCOUNTS_MAX = 1000,
	IMPORT_IDS_MAX = 4000000, /* of all accounts */
	IMPORT_REMARKS_MAX = 500,
	IMPORT_FILE_MAX = 256 << 20,
};

struct import_account {
	struct fetch_account account; /* name "": made from user and host */
	bool place;                   /* it says where the mail goes */
	bool skip;                    /* nothing this program collects */
	bool tls_on, starttls_on;     /* as far as it is read */
	char query[FETCH_TEXT_MAX];   /* the host's name in the list of ids, if it is another */
	char local[FETCH_TEXT_MAX];   /* the local user the mail is for */
	char ids_file[FETCH_PATH_MAX];
	char secret_at[FETCH_PATH_MAX]; /* "FILE:LINE" where its password stands; "": nowhere */
	char *ids;                      /* for each: a letter of enum import_kind, the id, a NUL */
	size_t ids_size, ids_capacity;
	uint32_t id_count;
};

enum import_kind { IMPORT_WHOLE = 'w', IMPORT_PARTIAL = 'p' };

struct import {
	struct import_account *accounts;
	unsigned count;
	char *remarks; /* lines */
	size_t remarks_size, remarks_capacity;
	unsigned remark_count;
	uint32_t id_count;
	const char *file; /* being read, for remarks */
	unsigned line;
	bool failed; /* out of memory, or over a bound: the rest is missing */
};

void import_finish(struct import *im);
/* A new account with defaults. NULL: none can be added, which is remarked. */
struct import_account *import_add(struct import *im);
/* "FILE:LINE: text". */
void import_remark(struct import *im, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The same without a place in a file. */
void import_say(struct import *im, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* An id of the account; an empty one or one with line breaks is remarked. */
void import_id(struct import *im, struct import_account *to, pop3_span id, enum import_kind kind);
/* Copies a setting's text; one that cannot be used is remarked, and *to stays as it was. */
bool import_text(struct import *im, char *to, size_t size, pop3_span text, const char *what);
bool import_port(struct import *im, struct fetch_account *account, pop3_span text);
/* Sets the destination, "maildir:…" with a leading ~/ or $HOME/ made whole. */
void import_place(struct import *im, struct import_account *to, const char *prefix, pop3_span text);
void import_secret_here(struct import *im, struct import_account *to);
/* Takes the next line off *text, without its end. False: none is left. Counts im->line. */
bool import_line(struct import *im, pop3_span *text, pop3_span *ret);
pop3_span import_trim(pop3_span text);

/* The readers. file: for remarks. */
void import_fetchmail(struct import *im, const char *file, pop3_span text);
void import_fetchids(struct import *im, const char *file, pop3_span text);
void import_mpop(struct import *im, const char *file, pop3_span text);
void import_mpop_uidls(struct import *im, struct import_account *to, const char *file,
		       pop3_span text);
void import_getmail(struct import *im, const char *file, pop3_span text);
void import_oldmail(struct import *im, struct import_account *to, const char *file, pop3_span text);
/* prefs.js of a profile; folder: the profile's. */
void import_prefs(struct import *im, const char *file, const char *folder, pop3_span text);
void import_popstate(struct import *im, struct import_account *to, const char *file,
		     pop3_span text);
/* The default profile's path in profiles.ini, relative to its folder or absolute. -1: none. */
int import_profile(pop3_span text, char *ret, size_t size);

#endif
