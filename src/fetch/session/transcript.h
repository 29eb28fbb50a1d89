/*
 * Transcript of a session (--record FILE), in the form of the project's transcript tests: "C: " and
 * "S: " lines, "S- " where no CRLF ended one, "-- TLS --". The server's octets are there one for
 * one, so that a test can play it back; secrets of ours are "<masked>", and so are the server's
 * challenges, from which some could be guessed. NULL records nothing.
 */
#ifndef FETCH_SESSION_TRANSCRIPT_H
#define FETCH_SESSION_TRANSCRIPT_H

#include "base/err.h"

#include <pop3/client.h>

struct record;

int record_open(const char *file, const char *title, bool lf, struct record **ret, struct err *err);
void record_close(struct record *record);
void record_sent(struct record *record, enum pop3_command command, pop3_span line);
void record_received(struct record *record, pop3_span raw, enum pop3_client_event_type type);
void record_tls(struct record *record); /* the handshake that STLS asked for is done */

#endif
