/*
 * Collects the one message of `valija init --with MTA --try` by POP3 from the server of a
 * configuration. The work is that of `valija fetch`, this program run again: what is in the
 * maildrop before is marked as seen in a journal, newer messages are copied into a Maildir, and one
 * that is removed there is deleted on the server. Journal and Maildir are in a folder that is
 * removed at the end. Single-threaded, with the rights of the caller.
 */
#ifndef CLI_WITH_COLLECT_H
#define CLI_WITH_COLLECT_H

#include "base/secret.h"
#include "config/config.h"

#include <stdbool.h>

struct collector;

enum collected { COLLECTED_NONE, COLLECTED_RETURNED /* a report about it */, COLLECTED_MESSAGE };

/* The first POP3 or POP3S socket at which a password may be shown; nothing is sent yet. From here
 * to collector_close SIGINT, SIGTERM and SIGHUP end no more than the step. */
int collector_open(const struct config *config, const char *login, const struct secret *password,
		   struct collector **ret, struct err *err);
void collector_close(struct collector *collector);
/* "POP3S at 127.0.0.1:995, its key is that of FILE" */
const char *collector_way(const struct collector *collector);
bool collector_has_tls(const struct collector *collector);
bool collector_interrupted(void);

/* Logs in, and passes over all that is in the maildrop. -1: err.code says why not, as `valija
 * fetch` does, which has printed it. */
int collector_begin(struct collector *collector, struct err *err);
/* Collects what is new, and looks for the message whose Message-ID begins with token. */
int collector_look(struct collector *collector, const char *token, enum collected *ret,
		   struct err *err);
/* Octets of the message found. */
size_t collector_size(const struct collector *collector);
/* Deletes the message found on the server, and no other. */
int collector_delete(struct collector *collector, struct err *err);

#endif
