# What Ruby asks of Linux: threads, children, sockets, signals. Prints what test lines look for.
require 'socket'
require 'digest'

server = TCPServer.new('127.0.0.1', 0)
echo = Thread.new { 3.times { it = server.accept; it.puts(it.gets.upcase); it.close } }
lines = (0..2).map { |n| Thread.new { s = TCPSocket.new('127.0.0.1', server.addr[1]); s.puts("line #{n}"); s.gets.chomp } }
puts "ruby: #{lines.map(&:value).join(' ')}"
echo.join
puts "ruby: #{`echo child; exit 3`.chomp} #{$?.exitstatus}"
reader, writer = IO.pipe
pid = fork { reader.close; writer.write('from a fork'); exit! 4 }
writer.close
Process.wait(pid)
puts "ruby: #{reader.read} #{$?.exitstatus}"
Signal.trap('USR1') { puts 'ruby: signal' }
Process.kill('USR1', Process.pid)
sleep 0.1
begin
  def deep(n) = deep(n + 1)
  deep(0)
rescue SystemStackError
  puts 'ruby: too deep'
end
puts "ruby: #{Digest::SHA256.hexdigest('xenith' * 100_000)[0, 16]}"
