/*
 * Mail addresses as SMTP's grammar has them (RFC 5321 section 4.1.2, RFC 6531 section 3.3): checks,
 * takes apart and unquotes. Used by the LMTP machine, by `valija deliver` and by the resolution of
 * recipients. No I/O, no allocation; nothing that passed here holds a control character, so it can
 * stand in a header or a log line.
 */
#ifndef LMTP_ADDRESS_H
#define LMTP_ADDRESS_H

#include <pop3/span.h>

#include <stdbool.h>

enum {
	/* Octets. RFC 5321 asks for 64; VERP and SRS senders are longer. */
	LMTP_LOCAL_PART_MAX = 255,
	LMTP_DOMAIN_MAX = 255,
	LMTP_ADDRESS_MAX = LMTP_LOCAL_PART_MAX + 1 + LMTP_DOMAIN_MAX,
	/* Of an envelope sender, so that "Return-Path: <…>" fits into a line of 998 (RFC 5322). */
	LMTP_SENDER_MAX = 960,
};

enum lmtp_address_status {
	LMTP_ADDRESS_OK = 0,
	LMTP_ADDRESS_BAD = -1,       /* not what the grammar allows */
	LMTP_ADDRESS_LONG = -2,      /* a part is longer than its limit */
	LMTP_ADDRESS_NOT_ASCII = -3, /* octets above 0x7F where they were not announced */
};

/* The parts of a checked address: spans into the text that was checked. */
struct lmtp_address {
	pop3_span local;  /* as written, with its quotes if it has some */
	pop3_span domain; /* without "@"; empty: none was given */
};

/*
 * Checks local-part "@" domain. bare_local: an address without a domain is taken too. utf8: octets
 * above 0x7F are allowed, as valid UTF-8. *ret_address is untouched on failure.
 */
enum lmtp_address_status lmtp_address_check(pop3_span text, bool bare_local, bool utf8,
					    struct lmtp_address *ret_address);

/*
 * Writes the address without quoting ("a b"@x → a b@x; the domain begins behind the last "@") to
 * out, which has room for text.size octets. The domain's ASCII letters become small ones. Returns
 * octets written.
 */
size_t lmtp_address_unquote(const struct lmtp_address *address, char *out);

/*
 * Whether an envelope sender can stand in "Return-Path: <…>" as it was sent, be it an address by
 * the grammar or not: valid UTF-8 of at most LMTP_SENDER_MAX octets, no control character, quotes
 * that end, and outside of them nothing that ends or comments a path. The null sender can.
 */
bool lmtp_sender_writable(pop3_span text);

/* Whether it may stand behind the "@" of an address: labels, or a literal in brackets. Octets above
 * 0x7F are taken as they are. */
bool lmtp_domain_valid(pop3_span domain);

/* Valid UTF-8 (RFC 3629: shortest form, no surrogates). */
bool lmtp_utf8_valid(pop3_span text);

#endif
