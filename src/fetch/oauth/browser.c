/* See flow.h: the authorization code grant with PKCE (RFC 7636), for native applications. The
 * process of a person's command, unconfined. */
#include "fetch/oauth/flow.h"

#include "base/descriptor.h"
#include "base/digest.h"
#include "base/random.h"
#include "base/text.h"
#include "fetch/oauth/listener.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { WAIT_MS = 300000, RANDOM_SIZE = 32, RANDOM_TEXT = 48 };

struct visit {
	char state[RANDOM_TEXT], verifier[RANDOM_TEXT];
	char redirect[FETCH_URL_MAX + 16];
	int listener; /* -1: the redirect leads elsewhere, it is pasted */
	struct redirect answer;
	struct form form;
};

/* base64url without padding (RFC 4648 section 5). */
static void base64url(const unsigned char octets[RANDOM_SIZE], char out[RANDOM_TEXT])
{
	base64_encode((pop3_span){(const char *)octets, RANDOM_SIZE}, out, RANDOM_TEXT);
	for (char *c = out; *c; c++)
		*c = (char)(*c == '+' ? '-' : *c == '/' ? '_' : *c == '=' ? '\0' : *c);
}

static int draw(char out[RANDOM_TEXT], struct err *err)
{
	unsigned char octets[RANDOM_SIZE];

	if (random_octets(octets, sizeof(octets)) < 0)
		return err_sys(err, EX_OSERR, errno, "no random octets");
	base64url(octets, out);
	wipe(octets, sizeof(octets));
	return 0;
}

/* "http://127.0.0.1" and "http://localhost" get a port of ours; others are as they were registered.
 */
static int choose_redirect(const struct fetch_oauth *oauth, struct visit *visit, struct err *err)
{
	const char *base = oauth->redirect[0] ? oauth->redirect : "http://127.0.0.1";
	uint16_t port;

	visit->listener = -1;
	if (strcmp(base, "http://127.0.0.1") != 0 && strcmp(base, "http://localhost") != 0) {
		snprintf(visit->redirect, sizeof(visit->redirect), "%s", base);
		return 0;
	}
	visit->listener = listener_open(&port, err);
	snprintf(visit->redirect, sizeof(visit->redirect), "%s:%u/", base, port);
	return visit->listener < 0 ? -1 : 0;
}

static void form_address(struct visit *visit, const struct fetch_oauth *oauth, const char *user)
{
	unsigned char digest[RANDOM_SIZE];
	char challenge[RANDOM_TEXT];
	struct form *form = &visit->form;

	digest_of(DIGEST_SHA_256, visit->verifier, strlen(visit->verifier), digest);
	base64url(digest, challenge);
	form_init(form, oauth->authorize);
	form_put(form, strchr(oauth->authorize, '?') ? "&" : "?");
	form_add(form, "response_type", "code");
	form_add(form, "client_id", oauth->client_id);
	form_add(form, "redirect_uri", visit->redirect);
	form_add(form, "scope", oauth->scope);
	form_add(form, "state", visit->state);
	form_add(form, "code_challenge", challenge);
	form_add(form, "code_challenge_method", "S256");
	form_add(form, "login_hint", user);
	if (oauth->provider && oauth->provider->parameters)
		form_put(form, oauth->provider->parameters);
}

/* The address holds nothing that is a secret by itself: the verifier stays here. */
static void start_browser(const char *address)
{
	pid_t pid;

	if (!getenv("DISPLAY") && !getenv("WAYLAND_DISPLAY"))
		return;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (fork() == 0) /* nobody waits for it */
			execlp("xdg-open", "xdg-open", address, (char *)NULL);
		_exit(0);
	}
}

static int exchange(const struct fetch_oauth *oauth, struct visit *visit, struct oauth_answer *ret,
		    struct err *err)
{
	struct form *form = &visit->form;

	form_init(form, "");
	form_add(form, "grant_type", "authorization_code");
	form_add(form, "code", visit->answer.code);
	form_add(form, "redirect_uri", visit->redirect);
	form_add(form, "code_verifier", visit->verifier);
	oauth_form_client(form, oauth);
	if (oauth_ask(oauth->token, form, ret, err) < 0)
		return -1;
	if (ret->access.size)
		return 0;
	oauth_refused(oauth, ret, err);
	oauth_answer_finish(ret);
	return -1;
}

static void invite(const struct visit *visit, const char *user)
{
	printf("Open this page in a browser and consent as %s:\n\n    %s\n\n", user,
	       visit->form.text);
	if (visit->listener >= 0)
		printf("Waiting for five minutes. Is the browser on another machine? It then ends "
		       "at a page\nthat it cannot open: copy that page's address (%s...) and paste "
		       "it here.\n",
		       visit->redirect);
	else
		printf("The browser ends at a page that it cannot open (%s...): copy that page's\n"
		       "address and paste it here, within five minutes.\n",
		       visit->redirect);
	fflush(stdout);
}

static int make_visit(const struct fetch_oauth *oauth, const char *user, bool start,
		      struct visit *visit, struct oauth_answer *ret, struct err *err)
{
	int kind;

	if (draw(visit->state, err) < 0 || draw(visit->verifier, err) < 0 ||
	    choose_redirect(oauth, visit, err) < 0)
		return -1;
	form_address(visit, oauth, user);
	if (visit->form.full)
		return err_set(err, EX_CONFIG, "the address of the provider's page is too long");
	invite(visit, user);
	if (start)
		start_browser(visit->form.text);
	kind = listener_wait(visit->listener, visit->state, WAIT_MS, &visit->answer, err);
	if (kind < 0)
		return -1;
	if (kind == REDIRECT_ERROR)
		return err_set(err, EX_NOPERM, "consent was refused (%s)", visit->answer.words);
	return exchange(oauth, visit, ret, err);
}

int oauth_browser(const struct fetch_oauth *oauth, const char *user, bool start,
		  struct oauth_answer *ret, struct err *err)
{
	struct visit *visit = calloc(1, sizeof(*visit));
	int rc;

	if (!visit)
		return err_sys(err, EX_OSERR, errno, "memory");
	visit->listener = -1;
	rc = make_visit(oauth, user, start, visit, ret, err);
	close_fd(&visit->listener);
	wipe(visit, sizeof(*visit));
	free(visit);
	return rc;
}
