/*
 * A message between its stored form and its form on the wire (RFC 1939 section 3, RFC 5321 4.5.2).
 *
 * Stored: any octets, lines ended by LF or CRLF. Wire: every line ended by CRLF, a line break
 * added where the last one is missing, lines that begin with "." stuffed, "." CRLF at the end.
 * "Octets" of a message are always those of the wire form before stuffing and without the
 * terminating ".\r\n". A bare CR is content and stays; CR LF is one line break; a bare LF becomes
 * CR LF. All three machines are resumable at every octet; none allocates, none reads beyond its
 * input.
 */
#ifndef POP3_MESSAGE_H
#define POP3_MESSAGE_H

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define POP3_ALL_LINES UINT64_MAX

/* What pop3_counter finds out of a stored message. */
struct pop3_counter {
	uint64_t octets; /* on the wire, valid after pop3_counter_finish */
	uint64_t stored; /* octets fed */
	bool wire_form;  /* after finish: stored form == wire form before stuffing (every LF behind
			    CR, ends in CRLF) */
	bool dots;       /* some line begins with ".": stuffing is needed */
	bool at_line_start, last_cr; /* state */
};

void pop3_counter_init(struct pop3_counter *counter);
void pop3_counter_feed(struct pop3_counter *counter, pop3_span stored);
/* Adds the line break that a message without one gets (also an empty message: "" counts 0 and gets
 * none). */
void pop3_counter_finish(struct pop3_counter *counter);

/* Stored form → wire form with stuffing; for RETR and TOP. */
struct pop3_encoder {
	uint64_t octets; /* wire octets emitted so far before stuffing, without the terminator */
	uint64_t body_lines; /* body lines still to be sent; POP3_ALL_LINES: no limit */
	uint8_t state;       /* private */
	bool in_body;        /* the blank line after the headers has been sent */
	bool done;           /* the limit of a TOP has been reached: no more input is wanted */
};

void pop3_encoder_init(struct pop3_encoder *encoder, uint64_t body_lines);
/*
 * Takes stored octets from the front of *in (which it advances) and writes wire octets to out,
 * at most cap (cap >= 4). Returns the number written. Stops when *in is empty, out is full or the
 * line limit is reached (encoder->done).
 */
size_t pop3_encoder_run(struct pop3_encoder *encoder, pop3_span *in, char *out, size_t cap);
/* Ends the message: the missing line break if one is missing, then ".\r\n". Needs cap >= 6; returns
 * octets written. */
size_t pop3_encoder_finish(struct pop3_encoder *encoder, char *out, size_t cap);

/* Wire form → stored form: for a client that reads RETR, for an LMTP server that reads DATA. */
enum pop3_line_ends {
	POP3_KEEP_CRLF, /* store as received */
	POP3_TO_LF,     /* CRLF becomes LF; bare CR and LF stay */
};

struct pop3_decoder {
	uint64_t octets; /* wire octets after unstuffing, without the terminator */
	enum pop3_line_ends line_ends;
	uint8_t state; /* private */
	bool done;     /* CRLF.CRLF has been seen; only that ends a message */
	bool bare_lf;  /* a bare LF was seen (content for us; a policy for callers) */
	bool bare_cr;
};

void pop3_decoder_init(struct pop3_decoder *decoder, enum pop3_line_ends line_ends);
/*
 * Takes wire octets from the front of *in (advanced; never beyond the terminator) and writes stored
 * octets to out, at most cap (cap >= 4). Returns octets written; check decoder->done.
 */
size_t pop3_decoder_run(struct pop3_decoder *decoder, pop3_span *in, char *out, size_t cap);

#ifdef __cplusplus
}
#endif

#endif
