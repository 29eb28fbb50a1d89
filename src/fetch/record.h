/*
 * Transcript of a session (--record FILE): "C: " and "S: " lines as the transcript tests read them.
 * Secrets are masked: arguments of USER stay, those of PASS, APOP, AUTH and SASL answers become
 * "<masked>", message bodies and unique ids are kept out ("<n octets>"). NULL records nothing.
 */
#ifndef FETCH_RECORD_H
#define FETCH_RECORD_H

#include "base/err.h"

#include <pop3/client.h>

struct record;

int record_open(const char *file, const char *title, struct record **ret, struct err *err);
void record_close(struct record *record);
void record_sent(struct record *record, enum pop3_command command, pop3_span line);
void record_received(struct record *record, pop3_span raw, enum pop3_client_event_type type,
		     const struct pop3_client_event *event);
void record_note(struct record *record, const char *text);

#endif
