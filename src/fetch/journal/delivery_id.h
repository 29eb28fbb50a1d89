/*
 * Delivery ids: 32 hex digits that name a message of an account, the same in every run. Made from
 * the account's key (state.h) and the message's identity (journal.h). Sinks name files by it, and
 * receivers recognise a repeated delivery by it. Pure.
 */
#ifndef FETCH_JOURNAL_DELIVERY_ID_H
#define FETCH_JOURNAL_DELIVERY_ID_H

#include <pop3/span.h>

#include <stdbool.h>

enum { DELIVERY_ID_SIZE = 33 }; /* 32 hex digits and a NUL */

/* 128 bits of SHA-256 over key and text. */
void delivery_id(pop3_span key, pop3_span text, char ret[DELIVERY_ID_SIZE]);
/*
 * The id of a message. Its headers alone (partial) have another id than the whole message: a staged
 * file of one must not be taken for the other. identity: at most JOURNAL_IDENTITY_MAX octets.
 */
void delivery_id_of_message(pop3_span key, pop3_span identity, bool partial,
			    char ret[DELIVERY_ID_SIZE]);

#endif
