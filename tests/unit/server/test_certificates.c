/* Certificates and private keys from their files to the processes that need them: what is taken of
 * a file, what is refused and how it is said, and that nothing stays open or mapped. */
#include "server/certificates.h"

#include "../sys/tls_material.h"
#include "base/siphash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { PEM_MAX = 256 * 1024 };

#define CERTIFICATE(text) "-----BEGIN CERTIFICATE-----\n" text "\n-----END CERTIFICATE-----\n"
#define KEY "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n"

static struct material first, second;
static unsigned kept_out; /* mappings that a dump of the process does not have */

int __real_madvise(void *memory, size_t size, int advice);
int __wrap_madvise(void *memory, size_t size, int advice);

int __wrap_madvise(void *memory, size_t size, int advice)
{
	kept_out += advice == MADV_DONTDUMP;
	return __real_madvise(memory, size, advice);
}

static char folder[] = "/tmp/valija-certificates-XXXXXX";
static struct config config;
static struct err err;

static void path_of(const char *name, char *buf)
{
	snprintf(buf, CONFIG_PATH_MAX, "%s/%s", folder, name);
}

static void write_octets(const char *name, const char *text, size_t size)
{
	char path[CONFIG_PATH_MAX];
	int fd;

	path_of(name, path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, size), size);
	close(fd);
}

static void write_text(const char *name, const char *text)
{
	write_octets(name, text, strlen(text));
}

/* The site has these, of files that are named certificate, key, certificate, key … */
static void with(unsigned count, const char *const *names)
{
	memset(&config, 0, sizeof(config));
	snprintf(config.file, sizeof(config.file), "/etc/valija.conf");
	config.certificate_count = count;
	for (unsigned i = 0; i < count; i++) {
		config.certificates[i].line = 7 + i;
		path_of(names[2 * i], config.certificates[i].certificate);
		path_of(names[2 * i + 1], config.certificates[i].key);
	}
}

static void with_one(const char *certificate, const char *key)
{
	const char *const names[] = {certificate, key};

	with(1, names);
}

static unsigned descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static bool is_mapped(const char *name)
{
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "re");
	bool found = false;

	while (fgets(line, sizeof(line), maps))
		found |= strstr(line, name) != NULL;
	fclose(maps);
	return found;
}

static int pack(enum packed_kind kind, uint64_t *ret_size)
{
	memset(&err, 0, sizeof(err));
	return certificates_pack(&config, kind, ret_size, &err);
}

/* What is packed of the only file. */
static const char *packed_text(enum packed_kind kind)
{
	static char text[2 * PEM_MAX];
	uint64_t packed_size;
	uint32_t size;
	int fd = pack(kind, &packed_size);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &size, sizeof(size), 0), sizeof(size));
	assert_int_equal(packed_size, sizeof(size) + size);
	assert_int_equal(pread(fd, text, sizeof(text) - 1, sizeof(size)), size);
	text[size] = '\0';
	close(fd);
	return text;
}

static const char *certificates_of(const char *text)
{
	write_text("site.pem", text);
	with_one("site.pem", "site.pem");
	return packed_text(PACKED_CERTIFICATES);
}

static void refused(enum packed_kind kind, int code, const char *wanted)
{
	unsigned before = descriptors();
	char text[CONFIG_PATH_MAX + 128];
	uint64_t size;

	assert_int_equal(pack(kind, &size), -1);
	assert_int_equal(err.code, code);
	snprintf(text, sizeof(text), "/etc/valija.conf:7: %s", wanted);
	assert_string_equal(err.text, text);
	assert_int_equal(descriptors(), before);
}

/* ---- packing ---- */

static void test_of_a_certificates_file_its_certificates(void **state)
{
	(void)state;
	assert_string_equal(certificates_of(CERTIFICATE("one")), CERTIFICATE("one"));
	assert_string_equal(
		certificates_of(KEY CERTIFICATE("one") "words\n" CERTIFICATE("two") KEY),
		CERTIFICATE("one") CERTIFICATE("two"));
	assert_string_equal(certificates_of("subject=x\n" CERTIFICATE("one") KEY "end"),
			    CERTIFICATE("one"));
	assert_string_equal(certificates_of("-----BEGIN X509 CERTIFICATE-----\nx\n"
					    "-----END X509 CERTIFICATE-----\n"),
			    "-----BEGIN X509 CERTIFICATE-----\nx\n"
			    "-----END X509 CERTIFICATE-----\n");
	assert_string_equal(certificates_of(KEY), "");
	assert_string_equal(certificates_of(""), "");
	assert_string_equal(certificates_of("words"), "");
}

/* What is cut off is for OpenSSL to refuse; a key in it is not passed on. */
static void test_of_a_file_that_is_cut_off(void **state)
{
	(void)state;
	assert_string_equal(certificates_of("-----BEGIN CERTIFICATE-----\none\n"
					    "-----END CERTIFICATE-----"),
			    "-----BEGIN CERTIFICATE-----\none\n-----END CERTIFICATE-----");
	assert_string_equal(certificates_of("-----BEGIN CERTIFICATE-----\none"),
			    "-----BEGIN CERTIFICATE-----\none");
	assert_string_equal(certificates_of(CERTIFICATE("one") "-----BEGIN PRIVATE KEY-----\nx"),
			    CERTIFICATE("one"));
	assert_string_equal(certificates_of(CERTIFICATE("one") "-----BEGIN CERTIFICATE-----"),
			    CERTIFICATE("one"));
}

static void test_of_a_keys_file_all(void **state)
{
	(void)state;
	write_text("key.pem", KEY CERTIFICATE("one"));
	with_one("missing", "key.pem");
	assert_string_equal(packed_text(PACKED_KEYS), KEY CERTIFICATE("one"));
}

static void test_sealed(void **state)
{
	uint64_t size;
	struct stat st;
	int fd;

	(void)state;
	write_text("site.pem", CERTIFICATE("one"));
	with_one("site.pem", "site.pem");
	fd = pack(PACKED_KEYS, &size);
	assert_int_equal(fcntl(fd, F_GET_SEALS),
			 F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, size);
	close(fd);
}

static void test_files_that_cannot_be_read(void **state)
{
	char text[CONFIG_PATH_MAX + 64], path[CONFIG_PATH_MAX];

	(void)state;
	write_text("site.pem", CERTIFICATE("one"));
	path_of("missing", path);
	snprintf(text, sizeof(text), "cannot read %s: No such file or directory", path);
	with_one("missing", "site.pem");
	refused(PACKED_CERTIFICATES, EX_NOINPUT, text);
	with_one("site.pem", "missing");
	refused(PACKED_KEYS, EX_NOINPUT, text);
	path_of(".", path);
	snprintf(text, sizeof(text), "%s is not a PEM file", path);
	with_one(".", "site.pem");
	refused(PACKED_CERTIFICATES, EX_CONFIG, text);
	path_of("pipe", path);
	assert_int_equal(mkfifo(path, 0600), 0);
	snprintf(text, sizeof(text), "%s is not a PEM file", path);
	with_one("pipe", "site.pem");
	refused(PACKED_CERTIFICATES, EX_CONFIG, text);
}

static void test_the_largest_file(void **state)
{
	static char text[PEM_MAX + 2];
	char path[CONFIG_PATH_MAX], wanted[CONFIG_PATH_MAX + 64];

	(void)state;
	memset(text, 'x', PEM_MAX + 1);
	write_octets("large", text, PEM_MAX);
	with_one("large", "large");
	assert_int_equal(strlen(packed_text(PACKED_KEYS)), PEM_MAX);
	write_octets("large", text, PEM_MAX + 1);
	path_of("large", path);
	snprintf(wanted, sizeof(wanted), "%s is not a PEM file", path);
	refused(PACKED_KEYS, EX_CONFIG, wanted);
}

/* ---- unpacking ---- */

static struct packed packed;

static void write_materials(void)
{
	write_octets("first.pem", first.pem.certificate.data, first.pem.certificate.size);
	write_octets("first.key", first.pem.key.data, first.pem.key.size);
	write_octets("second.pem", second.pem.certificate.data, second.pem.certificate.size);
	write_octets("second.key", second.pem.key.data, second.pem.key.size);
}

static int begin_two(void **state)
{
	static const char *const names[] = {"first.pem", "first.key", "second.pem", "second.key"};

	(void)state;
	write_materials();
	with(2, names);
	for (unsigned kind = 0; kind < PACKED_COUNT; kind++) {
		packed.fds[kind] = pack((enum packed_kind)kind, &packed.sizes[kind]);
		assert_true(packed.fds[kind] >= 0);
	}
	return 0;
}

static int end_two(void **state)
{
	(void)state;
	close(packed.fds[0]);
	close(packed.fds[1]);
	return 0;
}

static unsigned allowed_old;

void __real_tls_keys_allow_old(struct tls_keys *keys);
void __wrap_tls_keys_allow_old(struct tls_keys *keys);

void __wrap_tls_keys_allow_old(struct tls_keys *keys)
{
	allowed_old++;
	__real_tls_keys_allow_old(keys);
}

static void test_both_arrive(void **state)
{
	struct tls_server *server;
	struct tls_keys *keys;

	(void)state;
	assert_int_equal(certificates_unpack(&packed, &config, CONFIG_TLS_1_2, &server, &err), 0);
	assert_non_null(server);
	assert_true(tls_server_dates(server, 1).last > tls_server_dates(server, 1).first);
	tls_server_destroy(server);
	kept_out = 0;
	allowed_old = 0;
	assert_int_equal(certificates_unpack_keys(&packed, &config, &keys, &err), 0);
	assert_int_equal(kept_out, 2);    /* certificates and keys */
	assert_int_equal(allowed_old, 0); /* no listener takes TLS below 1.2 */
	assert_non_null(keys);
	tls_keys_destroy(keys);
	assert_false(is_mapped("memfd:certificates"));
	assert_false(is_mapped("memfd:keys"));
}

/* A listener that takes older TLS from some networks wants keys that may. */
static void test_keys_for_old_tls(void **state)
{
	struct tls_keys *keys;

	(void)state;
	config.listener_count = 2;
	for (uint32_t tls = CONFIG_TLS_1_2; tls < CONFIG_TLS_COUNT; tls++) {
		bool old = tls == CONFIG_TLS_1_0 || tls == CONFIG_TLS_1_1;

		config.rules[1].tls_min = tls;
		allowed_old = 0;
		assert_int_equal(certificates_unpack_keys(&packed, &config, &keys, &err), 0);
		assert_int_equal(allowed_old, old);
		tls_keys_destroy(keys);
	}
	config.rules[1].tls_min = CONFIG_TLS_1_2;
}

static void test_a_site_without_certificates(void **state)
{
	struct tls_server *server = (struct tls_server *)&packed;
	struct tls_keys *keys = (struct tls_keys *)&packed;

	(void)state;
	config.certificate_count = 0;
	assert_int_equal(certificates_unpack(&packed, &config, CONFIG_TLS_1_2, &server, &err), 0);
	assert_null(server);
	assert_int_equal(certificates_unpack_keys(&packed, &config, &keys, &err), 0);
	assert_null(keys);
}

static void test_what_does_not_arrive_whole(void **state)
{
	static const char text[] = "the certificates did not arrive whole";
	struct tls_server *server;
	struct tls_keys *keys;
	uint64_t size = packed.sizes[PACKED_CERTIFICATES];

	(void)state;
	for (unsigned i = 0; i < 3; i++) { /* the last octet, all of the second, half its size */
		const uint64_t less[] = {1, second.pem.certificate.size,
					 second.pem.certificate.size + 2};

		packed.sizes[PACKED_CERTIFICATES] = size - less[i];
		assert_int_equal(
			certificates_unpack(&packed, &config, CONFIG_TLS_1_2, &server, &err), -1);
		assert_string_equal(err.text, text);
		assert_int_equal(err.code, EX_SOFTWARE);
		assert_null(server);
	}
	packed.sizes[PACKED_CERTIFICATES] = size;
	packed.sizes[PACKED_KEYS] -= 1;
	assert_int_equal(certificates_unpack_keys(&packed, &config, &keys, &err), -1);
	assert_string_equal(err.text, text);
	assert_null(keys);
	assert_false(is_mapped("memfd:"));
	assert_int_equal(certificates_unpack(&packed, &config, CONFIG_TLS_1_2, &server, &err),
			 0); /* needs none */
	tls_server_destroy(server);
}

static void test_what_did_not_arrive(void **state)
{
	static const char text[] = "cannot take over the certificates: Bad file descriptor";
	struct tls_server *server;
	struct tls_keys *keys;
	struct packed none = packed;

	(void)state;
	none.fds[PACKED_KEYS] = -1;
	assert_int_equal(certificates_unpack_keys(&none, &config, &keys, &err), -1);
	assert_string_equal(err.text, text);
	none.fds[PACKED_CERTIFICATES] = -1;
	assert_int_equal(certificates_unpack(&none, &config, CONFIG_TLS_1_2, &server, &err), -1);
	assert_string_equal(err.text, text);
	assert_int_equal(certificates_unpack_keys(&none, &config, &keys, &err), -1);
	assert_false(is_mapped("memfd:"));
}

/* The error is OpenSSL's, and names the file. */
static void test_a_certificate_that_is_none(void **state)
{
	struct tls_server *server;

	(void)state;
	write_text("second.pem", CERTIFICATE("junk"));
	close(packed.fds[PACKED_CERTIFICATES]);
	packed.fds[PACKED_CERTIFICATES] =
		pack(PACKED_CERTIFICATES, &packed.sizes[PACKED_CERTIFICATES]);
	assert_int_equal(certificates_unpack(&packed, &config, CONFIG_TLS_1_2, &server, &err), -1);
	assert_non_null(strstr(err.text, "/second.pem"));
	assert_false(is_mapped("memfd:"));
}

/* ---- files that have changed ---- */

static int judge(int64_t now)
{
	int rc;

	memset(&err, 0, sizeof(err));
	rc = certificates_judge(&packed, &config, now, &err);
	assert_false(is_mapped("memfd:"));
	return rc;
}

static void test_changed_ones_are_judged(void **state)
{
	enum { HOUR = 3600 }; /* for so long they are valid, and since a minute */
	int64_t now = time(NULL);

	(void)state;
	assert_int_equal(judge(now), 0);
	assert_int_equal(judge(now + 2 * HOUR), -1);
	assert_non_null(strstr(err.text, "/first.pem"));
	assert_int_equal(judge(now - 2 * HOUR), -1);
	packed.sizes[PACKED_CERTIFICATES]--;
	assert_int_equal(judge(now), -1);
	assert_string_equal(err.text, "the certificates did not arrive whole");
	packed.sizes[PACKED_CERTIFICATES]++;
	write_text("second.pem", CERTIFICATE("junk")); /* the second one counts, too */
	close(packed.fds[PACKED_CERTIFICATES]);
	packed.fds[PACKED_CERTIFICATES] =
		pack(PACKED_CERTIFICATES, &packed.sizes[PACKED_CERTIFICATES]);
	assert_int_equal(judge(now), -1);
	assert_non_null(strstr(err.text, "/second.pem"));
	close(packed.fds[PACKED_CERTIFICATES]);
	packed.fds[PACKED_CERTIFICATES] = -1;
	assert_int_equal(judge(now), -1);
	assert_string_equal(err.text, "cannot take over the certificates: Bad file descriptor");
}

/* Of clients' authorities the dates do not count, but they must be readable. */
static void test_authorities_are_judged(void **state)
{
	static const char *const good[] = {"first.pem", "first.key"};
	struct tls_server *server;

	(void)state;
	with(1, good);
	path_of("second.pem", config.client_ca);
	strcpy(config.mechanisms, "EXTERNAL");
	for (int round = 0; round < 2; round++) {
		close(packed.fds[PACKED_CERTIFICATES]);
		packed.fds[PACKED_CERTIFICATES] =
			pack(PACKED_CERTIFICATES, &packed.sizes[PACKED_CERTIFICATES]);
		assert_int_equal(judge(time(NULL)), round == 0 ? 0 : -1);
		assert_int_equal(
			certificates_unpack(&packed, &config, CONFIG_TLS_1_2, &server, &err),
			round == 0 ? 0 : -1);
		tls_server_destroy(server);
		write_text("second.pem", CERTIFICATE("junk"));
	}
	assert_non_null(strstr(err.text, "/second.pem"));
}

/* The same number for the same octets; another one for others, and under another key. */
static void test_digests(void **state)
{
	const unsigned char octets[SIPHASH_KEY_SIZE] = {1}, others[SIPHASH_KEY_SIZE] = {2};
	const struct siphash_key key = siphash_key_of(octets), other = siphash_key_of(others);
	uint64_t size = packed.sizes[PACKED_CERTIFICATES], digest, second_digest;
	int fd = packed.fds[PACKED_CERTIFICATES];

	(void)state;
	assert_int_equal(certificates_digest(fd, size, &key, &digest, &err), 0);
	assert_int_equal(certificates_digest(fd, size, &key, &second_digest, &err), 0);
	assert_int_equal(digest, second_digest);
	assert_int_equal(certificates_digest(fd, size - 1, &key, &second_digest, &err), 0);
	assert_int_not_equal(digest, second_digest);
	assert_int_equal(certificates_digest(fd, size, &other, &second_digest, &err), 0);
	assert_int_not_equal(digest, second_digest);
	assert_false(is_mapped("memfd:"));
	assert_int_equal(certificates_digest(-1, size, &key, &digest, &err), -1);
	assert_string_equal(err.text, "cannot look at the certificates: Bad file descriptor");
}

static int make(void **state)
{
	(void)state;
	material_make(&first, "EC", "DNS:first.example", "SHA256");
	material_make(&second, "EC", "DNS:second.example", "SHA256");
	return mkdtemp(folder) ? 0 : -1;
}

static int clear(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

#define WITH_TWO(test) cmocka_unit_test_setup_teardown(test, begin_two, end_two)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of_a_certificates_file_its_certificates),
		cmocka_unit_test(test_of_a_file_that_is_cut_off),
		cmocka_unit_test(test_of_a_keys_file_all),
		cmocka_unit_test(test_sealed),
		cmocka_unit_test(test_files_that_cannot_be_read),
		cmocka_unit_test(test_the_largest_file),
		WITH_TWO(test_both_arrive),
		WITH_TWO(test_keys_for_old_tls),
		WITH_TWO(test_a_site_without_certificates),
		WITH_TWO(test_what_does_not_arrive_whole),
		WITH_TWO(test_what_did_not_arrive),
		WITH_TWO(test_a_certificate_that_is_none),
		WITH_TWO(test_changed_ones_are_judged),
		WITH_TWO(test_authorities_are_judged),
		WITH_TWO(test_digests),
	};

	return cmocka_run_group_tests(tests, make, clear);
}
