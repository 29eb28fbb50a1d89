/* The process keys: what it signs, for whom, and which fronts it ends. The test plays the monitor
 * and two fronts. */
#include "role_test.h"

#include "../sys/tls_material.h"
#include "server/certificates.h"
#include "server/keys/keys.h"

#include <dirent.h>
#include <sched.h>
#include <sysexits.h>

enum { ECDSA_SHA256 = 0x0403, RSA_PSS_SHA256 = 0x0804 };

static struct material ec, rsa;
static struct role_peer *one, *two;

/* ---- what the test does ---- */

static void write_pem(const char *name, pop3_span text)
{
	char copy[8192];

	memcpy(copy, text.data, text.size);
	copy[text.size] = '\0';
	role_write(name, copy);
}

static struct config site; /* a copy of what the role knows */

static void with_certificates(struct config *config)
{
	static const char *const names[] = {"ec", "rsa"};

	write_pem("ec.pem", ec.pem.certificate);
	write_pem("ec.key", ec.pem.key);
	write_pem("rsa.pem", rsa.pem.certificate);
	write_pem("rsa.key", rsa.pem.key);
	config->certificate_count = 2;
	config->log_level = LOG_LEVEL_DEBUG;
	for (unsigned i = 0; i < 2; i++) {
		struct config_certificate *c = &config->certificates[i];

		c->line = 1 + i;
		snprintf(c->certificate, sizeof(c->certificate), "%s/%s.pem", role.folder,
			 names[i]);
		snprintf(c->key, sizeof(c->key), "%s/%s.key", role.folder, names[i]);
	}
	site = *config;
}

static void send_packed(enum packed_kind kind)
{
	struct ipc_certificates message = {.size = 0};
	struct err err;
	int fd = certificates_pack(&site, kind, &message.size, &err);

	assert_true(fd >= 0);
	role_send_raw(&role.monitor, kind == PACKED_KEYS ? IPC_KEYS : IPC_CERTIFICATES, &message,
		      sizeof(message), NULL, 0, fd);
	close(fd);
}

static void begin_role(void)
{
	role_configure = with_certificates;
	role_captures = true;
	role_begin(&keys_role, false);
	role_configure = NULL;
}

static int begin(void **state)
{
	(void)state;
	begin_role();
	send_packed(PACKED_CERTIFICATES);
	send_packed(PACKED_KEYS);
	one = role_peer(ROLE_FRONT, 0);
	two = role_peer_at(ROLE_FRONT, 0, 1);
	role_go();
	return 0;
}

/* What TLS 1.3 has signed. */
static pop3_span content(void)
{
	static char octets[130];

	memset(octets, ' ', 64);
	memcpy(octets + 64, "TLS 1.3, server CertificateVerify", 34);
	memset(octets + 98, 0x5a, 32);
	return (pop3_span){octets, sizeof(octets)};
}

static void ask_for(const struct role_peer *front, uint64_t number, uint32_t key, uint32_t scheme,
		    pop3_span octets)
{
	struct ipc_sign message = {
		.session = number, .ticket = ~number, .key = key, .scheme = scheme};

	role_send_raw(front, IPC_SIGN, &message, sizeof(message), octets.data, octets.size, -1);
}

static const struct ipc_signed *expect_answer(struct role_peer *front, uint64_t number)
{
	const struct ipc_signed *message = role_expect(front, IPC_SIGNED);

	assert_int_equal(message->session, number);
	assert_int_equal(message->ticket, ~number);
	return message;
}

static bool is_good(const struct material *material, bool pss, const struct ipc_signed *message)
{
	BIO *bio = BIO_new_mem_buf(material->pem.key.data, (int)material->pem.key.size);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_PKEY_CTX *settings;
	bool good;

	assert_int_equal(EVP_DigestVerifyInit(context, &settings, EVP_sha256(), NULL, key), 1);
	if (pss)
		EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING);
	good = EVP_DigestVerify(context, (const unsigned char *)ipc_tail(message),
				message->head.tail, (const unsigned char *)content().data,
				content().size) == 1;
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	BIO_free(bio);
	return good;
}

/* The role sees nothing until SIGCONT. */
static void stop_role(void)
{
	int status;

	assert_int_equal(kill(role.pid, SIGSTOP), 0);
	assert_int_equal(waitpid(role.pid, &status, WUNTRACED), role.pid);
	assert_true(WIFSTOPPED(status));
}

/* ---- signing ---- */

static void test_signatures(void **state)
{
	(void)state;
	ask_for(one, 1, 0, ECDSA_SHA256, content());
	assert_true(is_good(&ec, false, expect_answer(one, 1)));
	ask_for(two, 2, 1, RSA_PSS_SHA256, content());
	assert_true(is_good(&rsa, true, expect_answer(two, 2)));
}

static void test_a_signature_that_this_key_cannot_make(void **state)
{
	(void)state;
	ask_for(one, 1, 0, RSA_PSS_SHA256, content());
	assert_int_equal(expect_answer(one, 1)->head.tail, 0);
	ask_for(one, 2, 0, ECDSA_SHA256, content()); /* that was no crime */
	assert_true(expect_answer(one, 2)->head.tail > 0);
	role_peer_dies(one);
	role_expect_log("front 0: 1 signatures, 1 refused");
	assert_int_equal(role_counted(COUNTER_SIGNATURES + RESULT_OK), 1);
	assert_int_equal(role_counted(COUNTER_SIGNATURES + RESULT_FAILED), 1);
}

static void test_several_requests_of_each(void **state)
{
	(void)state;
	stop_role();
	for (uint64_t i = 1; i <= 5; i++)
		ask_for(one, i, 0, ECDSA_SHA256, content());
	ask_for(two, 6, 0, ECDSA_SHA256, content());
	kill(role.pid, SIGCONT);
	for (uint64_t i = 1; i <= 5; i++)
		assert_true(expect_answer(one, i)->head.tail > 0);
	expect_answer(two, 6);
	ask_for(one, 7, 0, ECDSA_SHA256, content()); /* its queue was empty meanwhile */
	expect_answer(one, 7);
	role_peer_dies(one);
	role_expect_log("front 0: 6 signatures, 0 refused");
	role_peer_dies(two);
	role_expect_log("front 1: 1 signatures, 0 refused");
}

static void test_what_no_handshake_needs(void **state)
{
	pop3_span octets = content();

	(void)state;
	octets.size -= 1;
	stop_role();
	ask_for(one, 1, 0, ECDSA_SHA256, octets);
	ask_for(one, 2, 0, ECDSA_SHA256, content()); /* too late */
	ask_for(two, 3, 0, ECDSA_SHA256, content());
	kill(role.pid, SIGCONT);
	expect_answer(two, 3);
	role_expect_log("front 0 asked for a signature that no handshake needs: it is ended");
	assert_int_equal(role_next(one, &(const void *){NULL}), IPC_NONE);
	ask_for(two, 4, 2, ECDSA_SHA256, content()); /* a key that there is not */
	role_expect_log("front 1 asked for");
	role_expect_cut(two);
	role_ping();
}

/* ---- credits ---- */

/* So many requests at once, in packets of some, that reach the role in one turn. Their content is
 * not what a handshake needs: the first one that gets a turn ends the front. */
static void ask_at_once(unsigned count)
{
	enum { TOGETHER = 9 };
	struct {
		struct ipc_sign message;
		char tail[8];
	} requests[TOGETHER];

	_Static_assert(sizeof(requests[0]) == sizeof(struct ipc_sign) + 8, "no gap");
	memset(requests, 0, sizeof(requests));
	for (unsigned i = 0; i < TOGETHER; i++) {
		requests[i].message.head.type = IPC_SIGN;
		requests[i].message.head.tail = 8;
		requests[i].message.scheme = ECDSA_SHA256;
	}
	stop_role();
	while (count) {
		unsigned n = count < TOGETHER ? count : TOGETHER;

		assert_int_equal(send(one->fd, requests, n * sizeof(requests[0]), MSG_NOSIGNAL),
				 n * sizeof(requests[0]));
		count -= n;
	}
	kill(role.pid, SIGCONT);
	role_expect_cut(one);
	role_ping();
}

static void test_as_many_requests_as_it_may_have(void **state)
{
	(void)state;
	ask_at_once(IPC_SIGN_CREDITS);
	role_expect_log("front 0 asked for a signature that no handshake needs");
}

static void test_one_request_more(void **state)
{
	(void)state;
	ask_at_once(IPC_SIGN_CREDITS + 1);
	assert_null(strstr(role_log(), "asked for a signature"));
	ask_for(two, 1, 0, ECDSA_SHA256, content());
	expect_answer(two, 1);
}

/* ---- the process ---- */

static void test_what_stays_open(void **state)
{
	char path[64], target[256];
	struct dirent *entry;
	DIR *dir;

	(void)state;
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)role.pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		target[n > 0 ? n : 0] = '\0';
		assert_null(strstr(target, "memfd:certificates"));
		assert_null(strstr(target, "memfd:keys"));
	}
	closedir(dir);
	assert_int_equal(sched_getscheduler(role.pid), SCHED_BATCH);
}

static void test_the_first_files_count(void **state)
{
	(void)state;
	begin_role();
	send_packed(PACKED_CERTIFICATES);
	send_packed(PACKED_KEYS);
	site.certificate_count = 1; /* what is sent again does not */
	send_packed(PACKED_KEYS);
	send_packed(PACKED_CERTIFICATES);
	one = role_peer(ROLE_FRONT, 0);
	role_go();
	ask_for(one, 1, 1, RSA_PSS_SHA256, content());
	assert_true(expect_answer(one, 1)->head.tail > 0);
}

static void expect_no_start(const char *words, uint32_t code)
{
	struct ipc_empty start;
	const struct ipc_failed *failed;

	memset(&start, 0, sizeof(start));
	role_send(&role.monitor, IPC_START, &start);
	failed = role_expect(&role.monitor, IPC_FAILED);
	assert_int_equal(failed->code, code);
	assert_int_equal(failed->head.tail, strlen(words));
	assert_memory_equal(ipc_tail(failed), words, strlen(words));
}

static void test_a_file_is_missing(void **state)
{
	(void)state;
	begin_role();
	send_packed(PACKED_KEYS);
	expect_no_start("cannot take over the certificates: Bad file descriptor", EX_OSERR);
}

static void test_a_site_without_certificates(void **state)
{
	(void)state;
	role_begin(&keys_role, false);
	expect_no_start("the site has no certificates", EX_SOFTWARE);
}

static void test_drain_waits_for_fronts(void **state)
{
	(void)state;
	role_drain(1);
	ask_for(one, 1, 0, ECDSA_SHA256, content());
	expect_answer(one, 1);
	role_peer_dies(one);
	ask_for(two, 2, 0, ECDSA_SHA256, content());
	expect_answer(two, 2);
	role_peer_dies(two);
	assert_int_equal(role_ends(), 0);
}

static void test_drain_without_fronts(void **state)
{
	(void)state;
	role_peer_dies(one);
	role_peer_dies(two);
	role_ping();
	role_drain(1);
	assert_int_equal(role_ends(), 0);
}

static void test_no_start_without_a_sandbox(void **state)
{
	(void)state;
	begin_role();
	send_packed(PACKED_CERTIFICATES);
	send_packed(PACKED_KEYS);
	role_expect_no_start();
}

static int make(void **state)
{
	(void)state;
	material_make(&ec, "EC", "DNS:ec.example", "SHA256");
	material_make(&rsa, "RSA", "DNS:rsa.example", "SHA256");
	return 0;
}

#define IN_KEYS(test) cmocka_unit_test_setup_teardown(test, begin, role_over)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_KEYS(test_signatures),
		IN_KEYS(test_a_signature_that_this_key_cannot_make),
		IN_KEYS(test_several_requests_of_each),
		IN_KEYS(test_what_no_handshake_needs),
		IN_KEYS(test_as_many_requests_as_it_may_have),
		IN_KEYS(test_one_request_more),
		IN_KEYS(test_what_stays_open),
		cmocka_unit_test_teardown(test_the_first_files_count, role_over),
		cmocka_unit_test_teardown(test_a_file_is_missing, role_over),
		cmocka_unit_test_teardown(test_a_site_without_certificates, role_over),
		cmocka_unit_test_teardown(test_no_start_without_a_sandbox, role_over),
		IN_KEYS(test_drain_waits_for_fronts),
		IN_KEYS(test_drain_without_fronts),
	};

	return cmocka_run_group_tests(tests, make, NULL);
}
