# The vDSO: what programs call to read the clocks without a system call (vdso(7)). The functions
# touch no stack and no register that the System V ABI keeps.
#
# The page before it holds what `time/page.rs` writes:
#    0  u32 version: 0: use the call; else it changes whenever the rest does
#    8  u64 ticks of the time stamp counter at which
#   16  u64 the monotonic clock had so many ns
#   24  u64 ns a tick, times 2^56
#   32  u64 what the wall clock is ahead, in ns
#
# Make vdso.elf of it, which src/exec/vdso.rs includes, in this folder, with:
#   as -o /tmp/vdso.o vdso.s && ld -shared -soname=linux-vdso.so.1 --hash-style=both -Bsymbolic \
#     -z noexecstack -z max-page-size=4096 --build-id=none -T vdso.lds -o vdso.elf /tmp/vdso.o \
#     && strip --strip-all vdso.elf

        .intel_syntax noprefix
        .text

        .set    REALTIME, 0
        .set    CLOCKS, 0b11110011      # 0, 1, and those that equal one of them: 4 to 7
        .set    REALTIMES, 0b00100001   # 0 and 5
        .set    SYS_gettimeofday, 96
        .set    SYS_time, 201
        .set    SYS_clock_gettime, 228
        .set    SYS_clock_getres, 229

# Returns in rax the ns of the monotonic clock, and in r9 what the wall clock is ahead of it.
# Jumps to \none if there is nothing to compute that from. Changes rcx, rdx, r8, r10.
        .macro  read none
        lea     r8, [rip + vvar]
1:      mov     r10d, [r8]
        test    r10d, r10d
        jz      \none
        lfence
        rdtsc
        shl     rdx, 32
        or      rax, rdx
        mov     r9, [r8 + 32]
        xor     ecx, ecx
        sub     rax, [r8 + 8]
        cmovs   rax, rcx
        mul     qword ptr [r8 + 24]
        shrd    rax, rdx, 56
        add     rax, [r8 + 16]
        cmp     r10d, [r8]
        jne     1b
        .endm

# Divides rax by 10^9: the quotient to rdx, the rest to rax. Changes rcx.
        .macro  seconds
        mov     rcx, rax
        shr     rax, 9
        movabs  rdx, 0x44b82fa09b5a53
        mul     rdx
        shr     rdx, 11
        imul    rax, rdx, 1000000000
        sub     rcx, rax
        mov     rax, rcx
        .endm

        .macro  function name
        .globl  __vdso_\name
        .weak   \name
        .type   __vdso_\name, @function
        .type   \name, @function
        .balign 16
__vdso_\name:
\name:
        .cfi_startproc
        .endm

        .macro  end name
        .cfi_endproc
        .size   __vdso_\name, . - __vdso_\name
        .size   \name, . - \name
        .endm

        function clock_gettime
        cmp     edi, 7
        ja      2f
        mov     eax, CLOCKS
        bt      eax, edi
        jnc     2f
        read    2f
        mov     ecx, REALTIMES
        bt      ecx, edi
        mov     ecx, 0
        cmovnc  r9, rcx
        add     rax, r9
        seconds
        mov     [rsi], rdx
        mov     [rsi + 8], rax
        xor     eax, eax
        ret
2:      mov     eax, SYS_clock_gettime
        syscall
        ret
        end     clock_gettime

        function gettimeofday
        test    rdi, rdi
        jz      3f
        read    2f
        add     rax, r9
        seconds
        mov     [rdi], rdx
        # To microseconds: below 10^9, a product with 2^38 / 1000 is exact.
        imul    rax, rax, 274877907
        shr     rax, 38
        mov     [rdi + 8], rax
3:      test    rsi, rsi
        jz      4f
        mov     qword ptr [rsi], 0
4:      xor     eax, eax
        ret
2:      mov     eax, SYS_gettimeofday
        syscall
        ret
        end     gettimeofday

        function time
        read    2f
        add     rax, r9
        seconds
        mov     rax, rdx
        test    rdi, rdi
        jz      3f
        mov     [rdi], rax
3:      ret
2:      mov     eax, SYS_time
        syscall
        ret
        end     time

        function clock_getres
        mov     eax, SYS_clock_getres
        syscall
        ret
        end     clock_getres

# There is one processor.
        function getcpu
        test    rdi, rdi
        jz      1f
        mov     dword ptr [rdi], 0
1:      test    rsi, rsi
        jz      2f
        mov     dword ptr [rsi], 0
2:      xor     eax, eax
        ret
        end     getcpu

        .hidden vvar
        .section .note.GNU-stack, "", @progbits
