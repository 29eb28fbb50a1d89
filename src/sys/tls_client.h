/*
 * TLS of a client on a non-blocking socket: verification always on, TLS 1.2 and 1.3 only, SNI, CA
 * file or the system's store, pinned keys (SPKI), client certificate, channel binding. It
 * never blocks: waiting is the caller's (poll). Used by `valija fetch`, unprivileged; everything
 * the server sends is hostile.
 */
#ifndef SYS_TLS_CLIENT_H
#define SYS_TLS_CLIENT_H

#include "base/err.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stddef.h>

#define TLS_CLIENT_PINS_MAX 4
#define TLS_CLIENT_PIN_SIZE 32 /* SHA-256 of the SubjectPublicKeyInfo */
#define TLS_CLIENT_BINDING_SIZE 32
#define TLS_CLIENT_SESSION_MAX 8000

struct tls_client;
struct tls_kept; /* a session to be resumed, secret */
struct tls_trust;

struct tls_client_settings {
	const char *host;    /* name or address the certificate must be for; sent as SNI */
	const char *ca_file; /* PEM file: the CAs trusted. NULL: the system's; none with pins */
	const char *cert_file,
		*key_file; /* client certificate, NULL: none; key NULL: in cert_file */
	const char *alpn;  /* NULL: none */
	/*
	 * Keys one of which the server's certificate must have. A pinned key names the server more
	 * closely than any authority does, so without ca_file it stands for chain and name checks;
	 * with ca_file both must hold.
	 */
	unsigned char pins[TLS_CLIENT_PINS_MAX][TLS_CLIENT_PIN_SIZE];
	unsigned pin_count;
	/* Made earlier for this ca_file, and for pins if there are any; NULL: it is made here. */
	const struct tls_trust *trust;
	/*
	 * Of an earlier connection with the same settings (tls_client_session); empty: none. The
	 * server is not verified anew where it takes it, but for its pinned key: the caller bounds
	 * how long one verification stands.
	 */
	pop3_span session;
	/* The same, of this process (tls_client_keep), which costs no parsing; NULL: none. */
	struct tls_kept *kept;
};

/* State from earlier connections with the same settings, for later ones. */
struct tls_client_memory {
	const struct tls_trust *trust; /* NULL: none */
	size_t size;                   /* of session; 0: none */
	char session[TLS_CLIENT_SESSION_MAX];
};

/* Read and write return octets > 0 or one of these. */
enum tls_client_status {
	TLS_CLIENT_OK = 0,
	TLS_CLIENT_WANT_READ = -1,
	TLS_CLIENT_WANT_WRITE = -2,
	TLS_CLIENT_CLOSED = -3, /* close_notify, or EOF without it: framing decides what is whole */
	TLS_CLIENT_FAILED = -4, /* err says why */
};

/* Reads CA and certificate files; -1 with err names the file. fd stays the caller's. */
int tls_client_create(const struct tls_client_settings *settings, int fd, struct tls_client **ret,
		      struct err *err);
/* Sends close_notify if that does not block. NULL is none. */
void tls_client_destroy(struct tls_client *client);

enum tls_client_status tls_client_handshake(struct tls_client *client, struct err *err);
/* The session, secret, is written into out, to be resumed later. Returns its octets; 0: there is
 * none, or it is larger than size. Asked for at the end: a server may send it at any time. */
size_t tls_client_session(struct tls_client *client, char *out, size_t size);
/* The same for a later connection of this process: the caller's, for tls_kept_destroy. NULL: none.
 */
struct tls_kept *tls_client_keep(struct tls_client *client);
void tls_kept_destroy(struct tls_kept *kept); /* NULL is none */
/* It is not asked for any more: frees what was kept for it, some kilobytes with the certificates.
 */
void tls_client_settle(struct tls_client *client);
/* The handshake resumed the session of the settings. */
bool tls_client_resumed(const struct tls_client *client);

int tls_client_read(struct tls_client *client, char *buf, size_t size, struct err *err);
int tls_client_write(struct tls_client *client, const char *buf, size_t size, struct err *err);

/* Channel binding tls-exporter (RFC 9266); -1 when the session has none (TLS 1.2 without extended
 * master secret). */
int tls_client_binding(struct tls_client *client, unsigned char out[TLS_CLIENT_BINDING_SIZE]);
/* After a handshake that failed: the server did not answer in TLS at all. */
bool tls_client_met_clear_text(const struct tls_client *client);
/* The other side, after a handshake: texts are escaped. */
struct tls_client_peer {
	char version[16]; /* "TLSv1.3"; "": no handshake */
	char subject[120], issuer[120];
	char pin[64]; /* base64 of the key's SHA-256 */
	int days_left;
	unsigned chain; /* certificates that were verified, or shown where a pin stands for the
			   chain */
};

void tls_client_peer(struct tls_client *client, struct tls_client_peer *ret);
/* "sha256//BASE64" or bare base64 of a pin. -1: it is neither. */
int tls_client_pin(const char *text, unsigned char ret[TLS_CLIENT_PIN_SIZE]);

#endif
