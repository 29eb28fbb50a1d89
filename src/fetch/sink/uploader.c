/* See uploader.h. Orders come from the confined process; answers are bounded and their texts
 * escaped by the program, but it talks to a server: they are checked as if they were hostile. */
#include "fetch/sink/uploader.h"

#include "fetch/companion.h"
#include "fetch/interrupt.h"
#include "fetch/program.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

struct uploader {
	struct companion process;
};

static void execute(int socket, const void *path)
{
	fetch_interrupt_ignore(); /* also behind exec: the message under way is delivered */
	if (dup2(socket, STDIN_FILENO) >= 0)
		execl(path, "valija-upload", (char *)NULL);
	_exit(EX_UNAVAILABLE);
}

static void broken(struct upload_answer *ret)
{
	*ret = (struct upload_answer){.result = UPLOAD_BROKEN, .code = EX_SOFTWARE};
	snprintf(ret->words, sizeof(ret->words), "the program valija-upload has ended");
}

static void take_answer(struct uploader *uploader, struct upload_answer *ret)
{
	ssize_t n = companion_answer(&uploader->process, ret, sizeof(*ret));

	if (n != (ssize_t)sizeof(*ret) || (unsigned)ret->result >= UPLOAD_RESULT_COUNT)
		broken(ret);
	ret->words[UPLOAD_WORDS_MAX - 1] = '\0';
}

static int begin(struct uploader *uploader, const struct upload_setup *setup, const char *path,
		 struct err *err)
{
	struct upload_answer answer;

	if (send(uploader->process.socket, setup, sizeof(*setup), MSG_NOSIGNAL) !=
	    (ssize_t)sizeof(*setup))
		return err_sys(err, EX_OSERR, errno, "cannot start %s", path);
	take_answer(uploader, &answer);
	if (answer.result == UPLOAD_DONE)
		return 0;
	return err_set(err, answer.code, "%s: %s", path, answer.words);
}

int uploader_start(const struct upload_setup *setup, struct uploader **ret, struct err *err)
{
	struct uploader *uploader = calloc(1, sizeof(*uploader));
	char path[PATH_MAX];

	if (!uploader)
		return err_sys(err, EX_OSERR, errno, "cannot prepare to deliver mail");
	fetch_program("valija-upload", path);
	if (companion_start(&uploader->process, execute, path, "deliver mail", err) < 0) {
		free(uploader);
		return -1;
	}
	if (begin(uploader, setup, path, err) < 0) {
		uploader_stop(uploader);
		return -1;
	}
	*ret = uploader;
	return 0;
}

void uploader_stop(struct uploader *uploader)
{
	if (uploader)
		companion_stop(&uploader->process); /* it says goodbye to the server */
	free(uploader);
}

void uploader_order(struct uploader *uploader, enum upload_verb verb, const char *id, int fd,
		    struct upload_answer *ret)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct upload_order order = {.verb = verb};
	struct iovec vec = {&order, sizeof(order)};
	struct msghdr message = {.msg_iov = &vec,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	snprintf(order.id, sizeof(order.id), "%s", id);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(int));
	if (sendmsg(uploader->process.socket, &message, MSG_NOSIGNAL) != (ssize_t)sizeof(order))
		broken(ret);
	else
		take_answer(uploader, ret);
}

void uploader_renew(struct uploader *uploader, const struct secret *secret)
{
	struct upload_order order = {.verb = UPLOAD_RENEW};

	if (send(uploader->process.socket, &order, sizeof(order), MSG_NOSIGNAL) ==
	    (ssize_t)sizeof(order))
		(void)!send(uploader->process.socket, secret, sizeof(*secret), MSG_NOSIGNAL);
}
