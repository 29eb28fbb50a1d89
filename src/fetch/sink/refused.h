/*
 * The Maildir of messages that a destination refused for good, octet for octet, with the
 * destination's words in a file beside each. By default refused/NAME in the state folder, made when
 * it is needed; or where the account says. For the sinks that can refuse; opened before the process
 * confines itself.
 */
#ifndef FETCH_SINK_REFUSED_H
#define FETCH_SINK_REFUSED_H

#include "fetch/sink/sink.h"

struct refused;

int refused_open(const struct sink_settings *settings, struct refused **ret, struct err *err);
void refused_close(struct refused *refused); /* NULL: none */
/*
 * Keeps the message in fd (from its start). err holds the destination's words, and gets the place
 * added: SINK_REFUSED. SINK_BROKEN: it could not be kept, err says why. The same message again
 * takes the place of its copy.
 */
enum sink_result refused_keep(struct refused *refused, int fd, const struct sink_message *message,
			      struct err *err);

#endif
