/*
 * A message between its stored form and its form on the wire (RFC 1939 section 3, RFC 5321 4.5.2).
 *
 * Stored: any octets, lines ended by LF or CRLF. Wire: every line ended by CRLF, a line break
 * added where the last one is missing, lines that begin with "." stuffed, "." CRLF at the end.
 * "Octets" of a message are always those of the wire form before stuffing and without the
 * terminating ".\r\n". A bare CR is content and stays; CR LF is one line break; a bare LF becomes
 * CR LF. All three machines are resumable at every octet; none allocates, none reads beyond its
 * input, none keeps a pointer to it. No function of this header can fail: every octet is content.
 */
#ifndef POP3_MESSAGE_H
#define POP3_MESSAGE_H

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The line limit of pop3_encoder_init() that is none. */
#define POP3_ALL_LINES UINT64_MAX

/* ---- counter: what a stored message will be on the wire ---- */

/* Embedded by the caller. The results are valid after pop3_counter_finish(). */
struct pop3_counter {
	/* Octets on the wire. */
	uint64_t octets;
	/* Octets fed. */
	uint64_t stored;
	/* The stored form is the wire form before stuffing: every LF behind a CR, CRLF at the end.
	 */
	bool wire_form;
	/* Some line begins with ".": stuffing is needed. */
	bool dots;
	/* Private. */
	bool at_line_start, last_cr;
};

/* Begins a count of 0 octets. */
void pop3_counter_init(struct pop3_counter *counter);

/*
 * Counts the next octets of the message.
 * stored: octets in stored form, any number; they are not needed after the call.
 */
void pop3_counter_feed(struct pop3_counter *counter, pop3_span stored);

/*
 * Ends the count: adds the line break (2 octets) of a message whose last line has none. An empty
 * message counts 0 octets and gets no line break. Call it once; the members above are valid then.
 */
void pop3_counter_finish(struct pop3_counter *counter);

/* ---- encoder: stored form to wire form, for RETR and TOP ---- */

/* Embedded by the caller. */
struct pop3_encoder {
	/* Wire octets so far, before stuffing and without the terminator. */
	uint64_t octets;
	/* Lines of the body still to be sent; POP3_ALL_LINES: no limit. */
	uint64_t body_lines;
	/* Private. */
	uint8_t state;
	/* The blank line behind the headers has been sent. */
	bool in_body;
	/* The line limit is reached: no more input is wanted. */
	bool done;
};

/*
 * Begins a message.
 * body_lines: lines of the body to send behind headers and blank line (TOP, RFC 1939 section 7);
 * POP3_ALL_LINES sends the whole message (RETR).
 */
void pop3_encoder_init(struct pop3_encoder *encoder, uint64_t body_lines);

/*
 * Converts stored octets to stuffed wire octets, until *in is empty, out is full or the line limit
 * is reached (encoder->done).
 * in: octets in stored form; it is advanced past those taken. out, cap: storage for the wire form,
 * cap in octets, at least 4.
 * Returns the octets written, at most cap.
 * RFC 1939 section 3.
 */
size_t pop3_encoder_run(struct pop3_encoder *encoder, pop3_span *in, char *out, size_t cap);

/*
 * Ends the message: a line break if the last line has none, then ".\r\n".
 * out, cap: storage, cap in octets, at least 6.
 * Returns the octets written.
 * RFC 1939 section 3.
 */
size_t pop3_encoder_finish(struct pop3_encoder *encoder, char *out, size_t cap);

/* ---- decoder: wire form to stored form, for RETR at a client and DATA at an LMTP server ---- */

enum pop3_line_ends {
	/* Stored as received. */
	POP3_KEEP_CRLF,
	/* CRLF becomes LF; a bare CR and a bare LF stay. */
	POP3_TO_LF,
};

/* Embedded by the caller. */
struct pop3_decoder {
	/* Wire octets after unstuffing, without the terminator. */
	uint64_t octets;
	/* Private. */
	enum pop3_line_ends line_ends;
	uint8_t state;
	/* CRLF.CRLF has been read; nothing else ends a message. */
	bool done;
	/* A bare LF or a bare CR was read. Both are content; a caller may have a policy on them. */
	bool bare_lf;
	bool bare_cr;
};

/*
 * Begins a message.
 * line_ends: the line ends of the stored form.
 */
void pop3_decoder_init(struct pop3_decoder *decoder, enum pop3_line_ends line_ends);

/*
 * Converts wire octets to stored octets, until *in is empty, out is full or the message has ended
 * (decoder->done).
 * in: received octets; it is advanced past those taken, never beyond the terminator. out, cap:
 * storage for the stored form, cap in octets, at least 4.
 * Returns the octets written, at most cap.
 * RFC 1939 section 3, RFC 5321 section 4.5.2.
 */
size_t pop3_decoder_run(struct pop3_decoder *decoder, pop3_span *in, char *out, size_t cap);

#ifdef __cplusplus
}
#endif

#endif
