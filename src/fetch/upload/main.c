/*
 * `valija-upload`: carries messages into an IMAP folder or into Gmail, for `valija fetch`, which
 * starts it before it confines itself (fetch/sink/upload.c). A program of its own, so that libcurl
 * and the secret of the destination are in no process that reads what a POP3 server sends, and cost
 * a run nothing that needs none. Orders come on standard input (upload.h), messages as descriptors,
 * and are read only. It runs as the user, confined: it may connect, and read certificates and the
 * resolver's files; it writes nothing. It ends with its standard input; signals that end
 * a run tidily are ignored, so that the message under way has an end.
 */
#include "fetch/upload/carrier.h"

#include "base/descriptor.h"
#include "sys/sandbox.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

static int confine(const struct upload_setup *setup, struct err *err)
{
	struct sandbox sandbox = {.role = SANDBOX_FETCH, .allow_connect = true};

	sandbox_add_path(&sandbox, "/etc", SANDBOX_READ);
	sandbox_add_path(&sandbox, "/usr", SANDBOX_READ);
	sandbox_add_path(&sandbox, "/run", SANDBOX_READ);
	sandbox_add_path(&sandbox, setup->ca_file, SANDBOX_READ);
	sandbox_add_path(&sandbox, getenv("SSL_CERT_FILE"), SANDBOX_READ);
	sandbox_add_path(&sandbox, getenv("SSL_CERT_DIR"), SANDBOX_READ);
	return sandbox_enter(&sandbox, err);
}

/* One order and the descriptor that came along, −1: none. False: no more orders. */
static bool take_order(struct upload_order *order, int *ret_fd)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec vec = {order, sizeof(*order)};
	struct msghdr message = {.msg_iov = &vec,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *head;
	ssize_t n;

	*ret_fd = -1;
	do {
		n = recvmsg(STDIN_FILENO, &message, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	head = n == (ssize_t)sizeof(*order) ? CMSG_FIRSTHDR(&message) : NULL;
	if (head && head->cmsg_type == SCM_RIGHTS && head->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(head), sizeof(int));
	order->id[UPLOAD_ID_SIZE - 1] = '\0';
	return n == (ssize_t)sizeof(*order);
}

static int give(const void *packet, size_t size)
{
	return send(STDIN_FILENO, packet, size, MSG_NOSIGNAL) == (ssize_t)size ? 0 : -1;
}

static int take_secret(struct upload_setup *setup)
{
	struct secret *secret = &setup->secret;

	if (recv(STDIN_FILENO, secret, sizeof(*secret), 0) != (ssize_t)sizeof(*secret) ||
	    secret->size > SECRET_MAX)
		return -1;
	secret->bytes[SECRET_MAX] = '\0';
	return 0;
}

static int serve(struct carrier *carrier, struct upload_setup *setup)
{
	struct upload_order order;
	int fd, rc = 0;

	while (rc == 0 && take_order(&order, &fd)) {
		struct upload_answer answer = {.result = UPLOAD_BROKEN, .code = EX_SOFTWARE};

		switch (order.verb) {
		case UPLOAD_SEND:
			carrier->send(carrier, order.id, fd, &answer);
			break;
		case UPLOAD_ASK:
			carrier->ask(carrier, order.id, fd, &answer);
			break;
		case UPLOAD_RENEW:
			rc = take_secret(setup);
			carrier->renewed(carrier);
			continue;
		}
		close_fd(&fd);
		rc = give(&answer, sizeof(answer));
	}
	return rc;
}

/* The first packet, and the answer to it: DONE when orders may come. */
static struct carrier *begin(struct upload_setup *setup)
{
	struct upload_answer answer = {.result = UPLOAD_DONE};
	struct err err = {.code = EX_CONFIG, .text = "the destination cannot be understood"};
	struct carrier *carrier = NULL;

	if (recv(STDIN_FILENO, setup, sizeof(*setup), 0) != (ssize_t)sizeof(*setup) ||
	    setup->version != UPLOAD_VERSION || setup->secret.size > SECRET_MAX)
		err_set(&err, EX_SOFTWARE, "valija-upload is another version");
	else if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK && confine(setup, &err) == 0)
		carrier = setup->kind == UPLOAD_IMAP ? imap_create(setup) : gmail_create(setup);
	if (!carrier)
		answer_words(&answer, UPLOAD_BROKEN, err.code, err.text);
	if (give(&answer, sizeof(answer)) == 0)
		return carrier;
	if (carrier)
		carrier->destroy(carrier);
	return NULL;
}

int main(void)
{
	struct upload_setup *setup = calloc(1, sizeof(*setup));
	struct carrier *carrier;
	int code;

	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	carrier = setup ? begin(setup) : NULL;
	code = carrier && serve(carrier, setup) == 0 ? EX_OK : EX_SOFTWARE;
	if (carrier)
		carrier->destroy(carrier);
	if (setup)
		wipe(setup, sizeof(*setup));
	free(setup);
	return code;
}
