/*
 * See tls_remote.h. Fronts and `valijad -t`. The key managers bear the names of the library's own,
 * because libssl sorts certificates by them; the default properties keep everything else away from
 * these (tls_remote_load).
 */
#include "sys/tls_remote.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

#define PROVIDER "valija"
#define OURS "provider=" PROVIDER
#define OTHERS "?provider!=" PROVIDER
#define SIGNATURE "VALIJA-REMOTE"
#define HANDLE "valija-handle"

enum kind { RSA_KEY, RSA_PSS_KEY, EC_KEY_KIND, ED25519_KEY, ED448_KEY, KINDS };

static const char *const names[KINDS] = {"RSA", "RSA-PSS", "EC", "ED25519", "ED448"};

struct handle {
	EVP_PKEY *public;
	tls_remote_sign *sign;
	void *context;
	uint32_t key;
};

/* A key as the library holds it: with a handle, or (for comparison) a public key alone. */
struct remote_key {
	struct handle handle;
	enum kind kind;
};

/* The library's tables hold functions of any type. */
#define ENTRY(id, function)                    \
	{                                      \
		id, (void (*)(void))(function) \
	}
#define END_OF_TABLE    \
	{               \
		0, NULL \
	}

/* ---- key managers ---- */

static void *new_key(enum kind kind)
{
	struct remote_key *key = calloc(1, sizeof(*key));

	if (key)
		key->kind = kind;
	return key;
}

#define NEW(name, kind)                   \
	static void *name(void *provider) \
	{                                 \
		(void)provider;           \
		return new_key(kind);     \
	}
NEW(new_rsa, RSA_KEY)
NEW(new_rsa_pss, RSA_PSS_KEY)
NEW(new_ec, EC_KEY_KIND)
NEW(new_ed25519, ED25519_KEY)
NEW(new_ed448, ED448_KEY)

static void free_key(void *data)
{
	struct remote_key *key = data;

	if (!key)
		return;
	EVP_PKEY_free(key->handle.public);
	free(key);
}

static int has(const void *data, int selection)
{
	const struct remote_key *key = data;

	/* a part that no key of this kind has does not matter */
	return key->handle.public != NULL &&
	       (!(selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) || key->handle.sign);
}

static int match(const void *left, const void *right, int selection)
{
	const struct remote_key *a = left, *b = right;

	(void)selection;
	return a->handle.public && b->handle.public &&
	       EVP_PKEY_eq(a->handle.public, b->handle.public) == 1;
}

/* A public key of another provider, which the library wants to compare with ours. */
static int import_public(struct remote_key *key, const OSSL_PARAM *params)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, names[key->kind], OTHERS);
	OSSL_PARAM *copy = OSSL_PARAM_dup(params);
	int good = context && copy && EVP_PKEY_fromdata_init(context) == 1 &&
		   EVP_PKEY_fromdata(context, &key->handle.public, EVP_PKEY_PUBLIC_KEY, copy) == 1;

	OSSL_PARAM_free(copy);
	EVP_PKEY_CTX_free(context);
	return good;
}

static int import(void *data, int selection, const OSSL_PARAM *params)
{
	const OSSL_PARAM *param = OSSL_PARAM_locate_const(params, HANDLE);
	struct remote_key *key = data;

	(void)selection;
	if (!param)
		return import_public(key, params);
	if (param->data_size != sizeof(key->handle))
		return 0;
	memcpy(&key->handle, param->data, sizeof(key->handle));
	return EVP_PKEY_up_ref(key->handle.public);
}

static const OSSL_PARAM *import_types(int selection)
{
	static const OSSL_PARAM types[] = {OSSL_PARAM_octet_string(HANDLE, NULL, 0),
					   OSSL_PARAM_END};

	(void)selection;
	return types;
}

static int get_params(void *data, OSSL_PARAM *params)
{
	const struct remote_key *key = data;

	EVP_PKEY_get_params(key->handle.public, params); /* what is unknown there stays unset */
	return 1;
}

static const OSSL_PARAM *gettable_params(void *provider)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)provider;
	return params;
}

/* A name that only this provider has: the library need not look elsewhere first. */
static const char *operation_name(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? SIGNATURE : NULL;
}

#define MANAGER(name, new)                                                     \
	static const OSSL_DISPATCH name[] = {                                  \
		ENTRY(OSSL_FUNC_KEYMGMT_NEW, new),                             \
		ENTRY(OSSL_FUNC_KEYMGMT_FREE, free_key),                       \
		ENTRY(OSSL_FUNC_KEYMGMT_HAS, has),                             \
		ENTRY(OSSL_FUNC_KEYMGMT_MATCH, match),                         \
		ENTRY(OSSL_FUNC_KEYMGMT_IMPORT, import),                       \
		ENTRY(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, import_types),           \
		ENTRY(OSSL_FUNC_KEYMGMT_GET_PARAMS, get_params),               \
		ENTRY(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, gettable_params),     \
		ENTRY(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, operation_name), \
		END_OF_TABLE,                                                  \
	}
MANAGER(rsa_manager, new_rsa);
MANAGER(rsa_pss_manager, new_rsa_pss);
MANAGER(ec_manager, new_ec);
MANAGER(ed25519_manager, new_ed25519);
MANAGER(ed448_manager, new_ed448);

/* ---- the signature ---- */

struct operation {
	const struct remote_key *key;
};

static void *new_operation(void *provider, const char *properties)
{
	(void)provider;
	(void)properties;
	return calloc(1, sizeof(struct operation));
}

static void free_operation(void *data)
{
	free(data);
}

static int sign_init(void *data, const char *digest, void *key, const OSSL_PARAM params[])
{
	struct operation *operation = data;

	(void)digest; /* the callback knows from the session */
	(void)params;
	if (key)
		operation->key = key;
	return operation->key && operation->key->handle.sign;
}

static int sign(void *data, unsigned char *signature, size_t *size, size_t room,
		const unsigned char *content, size_t content_size)
{
	const struct handle *handle = &((struct operation *)data)->key->handle;
	int most = EVP_PKEY_get_size(handle->public);

	if (most <= 0)
		return 0;
	*size = (size_t)most;
	if (!signature)
		return 1;
	if (room > *size)
		room = *size;
	*size = handle->sign(handle->context, handle->key, content, content_size, signature, room);
	return *size > 0;
}

/* Padding, digest, length of the salt: the scheme of the handshake stands for all of them. */
static int set_operation(void *data, const OSSL_PARAM params[])
{
	(void)data;
	(void)params;
	return 1;
}

static const OSSL_PARAM *settable_operation(void *data, void *provider)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)data;
	(void)provider;
	return params;
}

static const OSSL_DISPATCH signature[] = {
	ENTRY(OSSL_FUNC_SIGNATURE_NEWCTX, new_operation),
	ENTRY(OSSL_FUNC_SIGNATURE_FREECTX, free_operation),
	ENTRY(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, sign_init),
	ENTRY(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, sign),
	ENTRY(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, set_operation),
	ENTRY(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, settable_operation),
	END_OF_TABLE,
};

/* ---- the provider ---- */

static const OSSL_ALGORITHM *query(void *provider, int operation, int *no_cache)
{
	static const OSSL_ALGORITHM managers[] = {
		{"RSA:rsaEncryption:1.2.840.113549.1.1.1", OURS, rsa_manager, NULL},
		{"RSA-PSS:RSASSA-PSS:1.2.840.113549.1.1.10", OURS, rsa_pss_manager, NULL},
		{"EC:id-ecPublicKey:1.2.840.10045.2.1", OURS, ec_manager, NULL},
		{"ED25519:1.3.101.112", OURS, ed25519_manager, NULL},
		{"ED448:1.3.101.113", OURS, ed448_manager, NULL},
		{NULL, NULL, NULL, NULL},
	};
	static const OSSL_ALGORITHM signatures[] = {{SIGNATURE, OURS, signature, NULL},
						    {NULL, NULL, NULL, NULL}};

	(void)provider;
	*no_cache = 0;
	return operation == OSSL_OP_KEYMGMT     ? managers
	       : operation == OSSL_OP_SIGNATURE ? signatures
						: NULL;
}

static int init(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
		void **ret)
{
	static const OSSL_DISPATCH table[] = {ENTRY(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query),
					      END_OF_TABLE};
	static const char context[] = "";

	(void)core;
	(void)in;
	*out = table;
	*ret = (void *)(uintptr_t)context; /* not used */
	return 1;
}

/* Everything that asks for no provider goes on with the usual ones. */
OSSL_PROVIDER *tls_remote_load(void)
{
	if ((!OSSL_PROVIDER_available(NULL, PROVIDER) &&
	     OSSL_PROVIDER_add_builtin(NULL, PROVIDER, init) != 1) ||
	    EVP_set_default_properties(NULL, OTHERS) != 1)
		return NULL;
	return OSSL_PROVIDER_try_load(NULL, PROVIDER, 1);
}

EVP_PKEY *tls_remote_key(EVP_PKEY *public, uint32_t key, tls_remote_sign *call, void *context)
{
	struct handle handle = {.public = public, .sign = call, .context = context, .key = key};
	OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string(HANDLE, &handle, sizeof(handle)),
			       OSSL_PARAM_construct_end()};
	EVP_PKEY_CTX *maker = NULL;
	EVP_PKEY *made = NULL;

	if (!public)
		return NULL;
	for (int kind = 0; kind < KINDS && !maker; kind++)
		if (EVP_PKEY_is_a(public, names[kind]))
			maker = EVP_PKEY_CTX_new_from_name(NULL, names[kind], OURS);
	if (!maker || EVP_PKEY_fromdata_init(maker) != 1 ||
	    EVP_PKEY_fromdata(maker, &made, EVP_PKEY_KEYPAIR, params) != 1)
		made = NULL;
	EVP_PKEY_CTX_free(maker);
	return made;
}
