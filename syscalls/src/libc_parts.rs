//! Parts of glibc that PID 1 does without: 0.4 MB of it.
//!
//! A static binary takes each object of `libc.a` that anything it has refers to, and a
//! failed `assert` alone leads to message catalogues, from there to character sets,
//! and from there to the dynamic loader. The functions here stand at those crossings.
//! The linker finds them before it looks into `libc.a`, so what lies behind is never
//! taken. Should another glibc arrange its objects otherwise, the linker is told to
//! take the first definition of two (`-z muldefs`), and the binary is only larger.
//!
//! Only in static binaries: in a dynamic one they would stand in the way of the shared
//! libraries' own use. Names and signatures are those of glibc 2.36.

use core::ffi::{c_char, c_int, c_void};

/// Where glibc finds a mistake of its own (`assert/assert.c`). It would print it,
/// translated; PID 1 has no stdio, and the kernel's log says where it stopped.
#[unsafe(no_mangle)]
extern "C" fn __assert_fail(_: *const c_char, _: *const c_char, _: u32, _: *const c_char) -> ! {
    std::process::abort()
}

/// The same with an errno.
#[unsafe(no_mangle)]
extern "C" fn __assert_perror_fail(_: c_int, _: *const c_char, _: u32, _: *const c_char) -> ! {
    std::process::abort()
}

/// The same for programs that are not glibc.
#[unsafe(no_mangle)]
extern "C" fn __assert(_: *const c_char, _: *const c_char, _: c_int) -> ! {
    std::process::abort()
}

/// std asks where the main thread's stack ends, to say "stack overflow" before it
/// dies of one; glibc would parse `/proc/self/maps` with `sscanf` for that. Without
/// an answer (ENOSYS) std goes on, and the guard page does its work in silence.
#[unsafe(no_mangle)]
extern "C" fn pthread_getattr_np(_: usize, _: *mut c_void) -> c_int {
    libc::ENOSYS
}

/// Messages are not translated: there is no catalogue in an initramfs.
#[unsafe(no_mangle)]
extern "C" fn __dcgettext(_: *const c_char, message: *const c_char, _: c_int) -> *const c_char {
    message
}

/// The same under its public name, which is in the same object.
#[unsafe(no_mangle)]
extern "C" fn dcgettext(_: *const c_char, message: *const c_char, _: c_int) -> *const c_char {
    message
}

/// Whether a format string may be written to, which `printf` asks for `%n` in
/// fortified programs: 1 is "read-only", as such strings are. It would read
/// `/proc/self/maps` with stdio.
#[unsafe(no_mangle)]
extern "C" fn __readonly_area(_: *const c_char, _: usize) -> c_int {
    1
}

/// Loads the conversion between wide and other characters of a locale
/// (`wcsmbs/wcsmbsload.c`). No wide character is ever written here, so nothing calls it.
#[unsafe(no_mangle)]
extern "C" fn __wcsmbs_load_conv(_: *mut c_void) {
    std::process::abort()
}

/// The same for wide streams.
#[unsafe(no_mangle)]
extern "C" fn __wcsmbs_clone_conv(_: *mut c_void) {
    std::process::abort()
}

/// The same for a character set by name.
#[unsafe(no_mangle)]
extern "C" fn __wcsmbs_named_conv(_: *mut c_void, _: *const c_char) -> c_int {
    std::process::abort()
}

/// Frees what the above loaded.
#[unsafe(no_mangle)]
extern "C" fn _nl_cleanup_ctype(_: *mut c_void) {}

/// The conversions of the C locale: a `struct gconv_fcts` of two pointers and two
/// numbers, which only the above look at.
#[unsafe(no_mangle)]
static __wcsmbs_gconv_fcts_c: [usize; 4] = [0; 4];

/// Reads `/etc/resolv.conf` and `/etc/host.conf`, for a resolver that nothing here asks:
/// each thread has a place for its state, and that is all that is wanted of it.
#[unsafe(no_mangle)]
extern "C" fn __res_vinit(_: *mut c_void, _: c_int) -> c_int {
    -1
}

/// Closes a resolver's state that was never opened.
#[unsafe(no_mangle)]
extern "C" fn __res_iclose(_: *mut c_void, _: bool) {}

/// Frees a thread's.
#[unsafe(no_mangle)]
extern "C" fn __res_thread_freeres() {}

/// std asks for functions a newer glibc may have and does without those it does not get.
#[unsafe(no_mangle)]
extern "C" fn dlsym(_: *mut c_void, _: *const c_char) -> *mut c_void {
    core::ptr::null_mut()
}

unsafe extern "C" {
    /// The message of an errno, in English, or null (glibc 2.32).
    safe fn strerrordesc_np(errno: c_int) -> *const c_char;
}

/// What an errno means, with `printf` for those that have no name.
#[unsafe(no_mangle)]
extern "C" fn __strerror_r(errno: c_int, _: *mut c_char, _: usize) -> *const c_char {
    let message = strerrordesc_np(errno);
    if message.is_null() { c"Unknown error".as_ptr() } else { message }
}

/// The same as POSIX has it, for std.
///
/// # Safety
/// `buffer` has room for `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn __xpg_strerror_r(errno: c_int, buffer: *mut c_char, len: usize) -> c_int {
    let message = __strerror_r(errno, core::ptr::null_mut(), 0);
    // SAFETY: both branches of the above give a text that ends and is never freed.
    let message = unsafe { core::ffi::CStr::from_ptr(message) }.to_bytes();
    let Some(room) = len.checked_sub(1) else { return libc::ERANGE };
    let len = message.len().min(room);
    // SAFETY: at most the caller's `len` bytes are written, the last of them the end.
    unsafe {
        core::ptr::copy_nonoverlapping(message.as_ptr().cast(), buffer, len);
        buffer.add(len).write(0);
    }
    0
}

/// Names the calling thread, which is the only one std names. glibc can name others,
/// through files whose names it makes with `printf`.
#[unsafe(no_mangle)]
extern "C" fn pthread_setname_np(_: usize, name: *const c_char) -> c_int {
    // SAFETY: the kernel reads at most 16 bytes of the name and checks the address.
    unsafe { libc::prctl(libc::PR_SET_NAME, name) };
    0
}

/// `malloc_stats` prints with this; nothing else does. Its arguments, however many,
/// are the caller's to clean up (System V ABI, AMD64, section 3.2.3).
#[unsafe(no_mangle)]
extern "C" fn fprintf(_: *mut c_void, _: *const c_char) -> c_int {
    0
}

/// An index outside of one of glibc's arrays; it would print both numbers.
#[unsafe(no_mangle)]
extern "C" fn __libc_dynarray_at_failure(_: usize, _: usize) -> ! {
    std::process::abort()
}
