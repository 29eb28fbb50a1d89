/*
 * A connection to the server of a section: its turn among those that are being opened, the
 * addresses, the socket, TLS, the deadline of an answer, and what the section's breaker learns from
 * it. What goes over it is its owner's: a session (session.h) or a message (deliver.h). Embedded;
 * on the loop.
 */
#ifndef MAILDROP_REMOTE_LINK_H
#define MAILDROP_REMOTE_LINK_H

#include "maildrop/remote/section.h"

struct link;

enum link_phase { LINK_WAITING, LINK_CONNECTING, LINK_HANDSHAKE, LINK_OPEN, LINK_DEAD };

struct link_owner {
	/* Octets may go; a second time behind link_start_tls. The owner may end inside the call. */
	void (*opened)(struct link *link);
	/* Of an open one: what the socket is ready for, LOOP_READ and LOOP_WRITE. */
	void (*ready)(struct link *link, int what);
	/* It cannot be opened, or that server was silent for too long: *err. The owner ends it. */
	void (*failed)(struct link *link);
};

struct link {
	const struct link_owner *owner;
	struct section *section;
	struct err *err; /* the owner's */
	struct loop_watch watch;
	struct loop_later turn;
	struct loop_deadline deadline;
	struct section_wait wait;
	struct tls_client *tls;
	int fd; /* -1: none */
	unsigned address;
	uint8_t phase;  /* enum link_phase */
	bool has_place; /* among those that are being opened */
	bool is_tried;  /* the section waits to learn how it went */
	bool tls_wants_write, kept;
};

/* Opens it, in its turn. err: where the reason of a failure goes. */
void link_open(struct link *link, struct section *section, const struct link_owner *owner,
	       struct err *err);
/* Octets that were taken; 0: none now; -1: it is over, see err. */
ssize_t link_write(struct link *link, pop3_span out);
/* Octets; 0: the end; -1: none now; -2: it is over, see err. */
ssize_t link_read(struct link *link, char *buf, size_t size);
/* To be called for, beside what the owner wants, as long as it is open. -1: it cannot be. */
int link_want(struct link *link, int what);
/* An answer is waited for, from now on (progress: anew) or no more. */
void link_await(struct link *link, bool awaits, bool progress);
/* TLS begins, by STARTTLS. -1: see err. */
int link_start_tls(struct link *link);
void link_handshake(struct link *link);
/* The TLS session may serve a later connection: once, when that server has sent it. */
void link_keep_tls(struct link *link);
/* It is opened, or not, as far as the section is concerned. answered: that server works; else err
 * says why it does not; NULL: nobody knows. */
void link_tell(struct link *link, bool answered, const struct err *err);
/* That server works. The link keeps its place. */
void link_tell_works(struct link *link);
/* Cuts it. The section was told. */
void link_close(struct link *link);

/* For section_init. */
void link_silent(struct loop_deadlines *deadlines, struct loop_deadline *deadline);

#endif
