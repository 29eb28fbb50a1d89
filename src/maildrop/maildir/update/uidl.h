/*
 * valija-uidl: unique ids that are data, because no rule would give them again: those brought from
 * another server, and how collisions were resolved. One "unique-id SPACE unique-part" a line;
 * octets of the unique part outside 0x21-0x7E and "\" are written \xHH; a later line for the same
 * unique part wins. For the files of this folder.
 */
#ifndef MAILDROP_MAILDIR_UPDATE_UIDL_H
#define MAILDROP_MAILDIR_UPDATE_UIDL_H

#include "maildrop/maildir/update/model.h"
#include "maildrop/maildir/files/place.h"

#define UIDL_ORIGIN " origin " /* how a line begins that says where the next lines come from */
#define UIDL_ORIGIN_MAX 400    /* octets of such a line */
#define UIDL_HIDDEN                                                                  \
	" hidden" /* in the place of an id: another server hid the message from POP3 \
		   */
/* Octets of a line, at most. */
#define UIDL_LINE_MAX(id_size, unique_size) ((size_t)(id_size) + 1 + 4 * (size_t)(unique_size) + 1)

struct maildir_uidl {
	struct maildir_model parts;    /* name: unique part, own id */
	struct maildir_model reserved; /* name: an id that some line gives */
	struct maildir_model used;     /* name: an id of a message that is not its unique part */
	struct maildir_model hidden;   /* name: the unique part of a message that is not shown */
	/* of parts: lines that were brought from another server, in the order of its messages */
	uint32_t ordered_first, ordered_count;
	char origin[UIDL_ORIGIN_MAX]; /* the rule of the last of those lines; "": none */
	bool any;
	bool any_hidden;
	bool relied; /* an id was found in the file */
	char *lines; /* to be appended */
	size_t lines_size;
};

/* A file that is not there is an empty one; lines that make no sense are skipped. -1 with errno. */
int maildir_uidl_load(struct maildir_uidl *uidl, const struct maildir_place *place);
void maildir_uidl_finish(struct maildir_uidl *uidl);
/* The id for this unique part, or an empty span. The line may be one that a process wrote and was
 * killed before it was flushed: save flushes the file. */
pop3_span maildir_uidl_find(struct maildir_uidl *uidl, pop3_span unique);
bool maildir_uidl_hidden(const struct maildir_uidl *uidl, pop3_span unique);
/* The place of a message among those that were brought in an order; MODEL_NONE: it is none. */
uint32_t maildir_uidl_rank(const struct maildir_uidl *uidl, pop3_span unique);
bool maildir_uidl_reserved(const struct maildir_uidl *uidl, pop3_span id);
bool maildir_uidl_used(const struct maildir_uidl *uidl, pop3_span id);
int maildir_uidl_use(struct maildir_uidl *uidl, pop3_span id);
/* Writes a line to buf, which has UIDL_LINE_MAX octets. Returns its size. */
size_t maildir_uidl_line(char *buf, pop3_span id, pop3_span unique);
/* Notes a line; save appends the noted ones and flushes. -1 with errno. */
int maildir_uidl_note(struct maildir_uidl *uidl, pop3_span id, pop3_span unique);
int maildir_uidl_save(struct maildir_uidl *uidl, const struct maildir_place *place);

#endif
