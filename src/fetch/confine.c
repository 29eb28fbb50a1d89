/* The sandbox of the fetch process, one an account; entered by run.c after the password was read
 * and the parts were opened. */
#include "fetch/confine.h"

#include "sys/sandbox.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void add_sink(struct sandbox *sandbox, const struct fetch_account *account)
{
	char copy[FETCH_COMMAND_MAX];

	snprintf(copy, sizeof(copy), "%s", account->target);
	switch (account->sink) {
	case FETCH_MAILDIR:
		sandbox_add_path(sandbox, copy, SANDBOX_READ | SANDBOX_WRITE);
		break;
	case FETCH_MBOX: /* the dotlock is made beside it */
		sandbox_add_path(sandbox, dirname(copy), SANDBOX_READ | SANDBOX_WRITE);
		break;
	case FETCH_COMMAND: /* the runner starts it, which is not confined */
	case FETCH_LMTP:
	case FETCH_IMAP: /* valija-upload connects, which has a sandbox of its own */
	case FETCH_GMAIL:
		break;
	}
}

int fetch_confine(const struct fetch_account *account, int state_dir,
		  const struct sandbox_program *program, struct err *err)
{
	struct sandbox sandbox = {.role = SANDBOX_FETCH,
				  .allow_connect = true,
				  .allow_bind = account->source[0] != '\0',
				  .program = program};
	int rc;

	sandbox.paths[sandbox.path_count++] =
		(struct sandbox_path){state_dir, SANDBOX_READ | SANDBOX_WRITE};
	add_sink(&sandbox, account);
	sandbox_add_path(&sandbox, account->refused, SANDBOX_READ | SANDBOX_WRITE);
	sandbox_add_path(&sandbox, "/etc", SANDBOX_READ); /* names, certificates */
	sandbox_add_path(&sandbox, "/usr",
			 SANDBOX_READ); /* modules of the name service, certificates */
	sandbox_add_path(&sandbox, "/run",
			 SANDBOX_READ); /* where a resolver keeps its resolv.conf */
	sandbox_add_path(&sandbox, account->cert_file, SANDBOX_READ);
	sandbox_add_path(&sandbox, account->key_file, SANDBOX_READ);
	if (account->ca_file[0]) {
		sandbox_add_path(&sandbox, account->ca_file, SANDBOX_READ);
	} else {
		sandbox_add_path(&sandbox, getenv("SSL_CERT_DIR"), SANDBOX_READ);
		sandbox_add_path(&sandbox, getenv("SSL_CERT_FILE"), SANDBOX_READ);
	}
	rc = sandbox_enter(&sandbox, err);
	for (unsigned i = 1; i < sandbox.path_count; i++)
		close(sandbox.paths[i].fd);
	return rc;
}
