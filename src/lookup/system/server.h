/*
 * The PAM server: the only process of a lookup that is root. It is forked from the lookup process
 * before that reads a question, has one thread, and forks a child for each question; the child
 * reads the question with the password, asks PAM, and says one of five things by its exit code.
 * The server itself reads no password and nothing but the front of a question, and ends children
 * at their deadline. It ends with the lookup process. docs/decisions/0023.
 */
#ifndef LOOKUP_SYSTEM_SERVER_H
#define LOOKUP_SYSTEM_SERVER_H

#include "base/err.h"
#include "lookup/system/entry.h"
#include "lookup/system/frame.h"

enum { SERVER_LANES_MAX = 64 };

struct server_settings {
	const char *service;
	struct entry_range range;
	unsigned lanes;   /* questions at a time */
	uint64_t longest; /* milliseconds that a question may take, whatever its deadline is */
	/* Asks PAM about a user who is in range; pam_ask. */
	enum verdict (*ask)(const char *service, const char *user, const char *address,
			    char *secret, uint32_t *ret_detail);
};

/* Starts the server; fds[i] becomes the lookup process's end of lane i: a SOCK_SEQPACKET socket,
 * on which a question is sent and its verdict comes, one at a time. Only from a process with one
 * thread, as root. -1 with err. */
int server_start(const struct server_settings *settings, int *fds, struct err *err);

#endif
