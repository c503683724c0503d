//! Names of OceanBase's memory contexts. That of GLIBC is the example's.

use std::borrow::Cow;

/// An id that OceanBase does not know prints as its number, so that a program may number its own contexts.
pub(crate) fn context_name(ctx_id: i64) -> Cow<'static, str> {
    let known = match ctx_id {
        0 => "DEFAULT_CTX_ID",
        2 => "MEMSTORE_CTX_ID",
        3 => "EXECUTE_CTX_ID",
        4 => "TRANS_CTX_MGR_ID",
        5 => "PLAN_CACHE_CTX_ID",
        6 => "WORK_AREA",
        8 => "CO_STACK",
        9 => "LIBEASY",
        10 => "LOGGER_CTX_ID",
        11 => "KVSTORE_CACHE_ID",
        12 => "META_OBJ_CTX_ID",
        16 => "RPC_CTX_ID",
        17 => "PKT_NIO",
        22 => "GLIBC",
        other => return Cow::Owned(format!("CTX_{other}")),
    };
    Cow::Borrowed(known)
}
