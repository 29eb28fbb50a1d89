/*
 * Packets between the lookup process and its PAM server: a question one way, a verdict back, and
 * the exit code by which a child of the server gives its verdict. A question is hostile to the
 * server's child, which is root; a verdict is checked by the lookup process. Pure.
 */
#ifndef LOOKUP_SYSTEM_FRAME_H
#define LOOKUP_SYSTEM_FRAME_H

#include <pop3/span.h>

#include <stdint.h>

enum {
	FRAME_USER_MAX = 256,    /* with the NUL, as the next ones */
	FRAME_ADDRESS_MAX = 46,  /* INET6_ADDRSTRLEN */
	FRAME_SECRET_MAX = 512,  /* PAM_MAX_RESP_SIZE: modules take no more */
	FRAME_VERDICT_SIZE = 16, /* octets of a verdict's packet */
};

/* All that a child may say. */
enum verdict {
	VERDICT_RIGHT = 1,
	VERDICT_WRONG,
	VERDICT_EXPIRED, /* right, but the account or its password has expired */
	VERDICT_LOCKED,  /* right, but the account phase refuses: pam_access and others */
	VERDICT_DOWN,    /* not known; detail says why */
	VERDICT_END
};

/* The detail of VERDICT_DOWN: a return code of PAM, or one of these. */
enum verdict_detail {
	DETAIL_QUESTION = 32, /* the child could not read the question, or may not ask it */
	DETAIL_HUNG,          /* killed at the deadline */
	DETAIL_DIED,          /* ended without a verdict: a module crashed or called exit() */
	DETAIL_FULL,          /* processes that were killed do not end, or none can be started */
	DETAIL_END
};

/* The front of a question; the server itself looks at no more than this. */
struct frame_head {
	uint64_t id;
	uint64_t deadline; /* CLOCK_MONOTONIC, milliseconds */
};

struct frame_question {
	struct frame_head head;
	char user[FRAME_USER_MAX];
	char address[FRAME_ADDRESS_MAX]; /* of the client, as text; "": none */
	char secret[FRAME_SECRET_MAX];
};

struct frame_verdict {
	uint64_t id;
	enum verdict verdict;
	uint32_t detail; /* 0 but with VERDICT_DOWN */
};

#define FRAME_QUESTION_MAX \
	(sizeof(struct frame_head) + FRAME_USER_MAX + FRAME_ADDRESS_MAX + FRAME_SECRET_MAX)

/* Returns the size. buf has FRAME_QUESTION_MAX octets, and holds the secret afterwards. */
size_t frame_put_question(const struct frame_question *question, char *buf);
/* -1: not a question; *ret may have been written to. */
int frame_take_question(pop3_span packet, struct frame_question *ret);
/* buf has FRAME_VERDICT_SIZE octets. */
void frame_put_verdict(const struct frame_verdict *verdict, char *buf);
/* -1: not a verdict; *ret is untouched then. */
int frame_take_verdict(pop3_span packet, struct frame_verdict *ret);

/* The exit code for a verdict: 0 and 1 mean none, as a library that calls exit() may give them. */
int frame_exit_code(enum verdict verdict, uint32_t detail);
/* Fills in verdict and detail; a code that means none is VERDICT_DOWN, DETAIL_DIED. */
void frame_take_exit_code(int code, struct frame_verdict *ret);

#endif
