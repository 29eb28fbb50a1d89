/* The root struct of a POP3 front; made and filled in by front.c. */
#ifndef SERVER_FRONT_ROOT_H
#define SERVER_FRONT_ROOT_H

#include "ipc/messages.h"
#include "server/front/login.h"
#include "server/front/signing.h"
#include "server/front/trace.h"
#include "server/front_frame.h"

struct front {
	struct front_frame frame;                  /* first: frame_root */
	struct tls_server *tls;                    /* NULL: the site has no certificates */
	struct tls_server *by_minimum[TLS_MINIMA]; /* of listeners with a tls_min of their own;
						      else NULL */
	struct loop_timer expiry; /* the first front: the next look at the certificates' dates */
	bool takes_certificates;  /* of clients, for EXTERNAL */
	uint32_t utf8_headers;    /* what clients get of them that have not given UTF8 */
	struct link *auth;        /* NULL: being restarted */
	struct signing signing;
	struct loop_deadlines handshake, login, idle, write;
	size_t handshakes, handshakes_max;
	struct loop_deadlines trim;  /* logged in: memory that an idle session gives back */
	struct loop_deadlines grace; /* valijad ends: for a session that waits for a command */
	struct pop3_server_settings strict,
		open,      /* credentials in clear text are allowed (loopback) */
		listed,    /* the same: the client's network is in plain_networks */
		certified, /* the client's certificate was verified: EXTERNAL */
		relayed;   /* the client's TLS ends at a proxy: nothing can be bound to it */
	char mechanisms[CONFIG_NAME_MAX], mechanisms_strict[CONFIG_NAME_MAX],
		mechanisms_tls[CONFIG_NAME_MAX], mechanisms_relayed[CONFIG_NAME_MAX],
		mechanisms_certified[CONFIG_NAME_MAX + sizeof(" EXTERNAL")];
	char scratch[CONN_SCRATCH];
	uint32_t numbers[IPC_NUMBERS_MAX]; /* of a DELETE that is being made */
	struct login_tickets tickets;
	struct traces traces;
};

#endif
