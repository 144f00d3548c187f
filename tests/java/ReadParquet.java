/*
 * ReadParquet: the rows of Parquet files as parquet-java reads them, for tests/system/test_parquet_matrix.py.
 *
 * Reads paths from standard input, one a line. Answers each with "ok N" and N lines, a JSON value a row, or with
 * "error" and the reason. Checksums of pages are verified. Values are written so that equal ones have equal text:
 *
 *   whole numbers      as numbers, unsigned ones by their annotation
 *   floating point     "f:" or "d:" and the bits in hexadecimal, every NaN as "nan"; FLOAT16 as the float of its value
 *   texts              strings; bytes "x:" and hexadecimal
 *   decimals           "n:" unscaled value "/" scale
 *   times, timestamps  nanoseconds, as numbers; dates days
 *   LIST               arrays; MAP arrays of [key, value]; groups objects; null null
 *
 * Decompressors are written in Java (aircompressor, java.util.zip, org.brotli), so that they share nothing with those
 * that Glis uses.
 */

import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.zip.GZIPInputStream;
import org.apache.parquet.ParquetReadOptions;
import org.apache.parquet.bytes.BytesInput;
import org.apache.parquet.column.page.PageReadStore;
import org.apache.parquet.compression.CompressionCodecFactory;
import org.apache.parquet.conf.PlainParquetConfiguration;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.example.data.simple.convert.GroupRecordConverter;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.apache.parquet.io.ColumnIOFactory;
import org.apache.parquet.io.LocalInputFile;
import org.apache.parquet.io.MessageColumnIO;
import org.apache.parquet.io.RecordReader;
import org.apache.parquet.io.api.Binary;
import org.apache.parquet.schema.GroupType;
import org.apache.parquet.schema.LogicalTypeAnnotation;
import org.apache.parquet.schema.LogicalTypeAnnotation.DecimalLogicalTypeAnnotation;
import org.apache.parquet.schema.LogicalTypeAnnotation.EnumLogicalTypeAnnotation;
import org.apache.parquet.schema.LogicalTypeAnnotation.Float16LogicalTypeAnnotation;
import org.apache.parquet.schema.LogicalTypeAnnotation.IntLogicalTypeAnnotation;
import org.apache.parquet.schema.LogicalTypeAnnotation.JsonLogicalTypeAnnotation;
import org.apache.parquet.schema.LogicalTypeAnnotation.ListLogicalTypeAnnotation;
import org.apache.parquet.schema.LogicalTypeAnnotation.MapLogicalTypeAnnotation;
import org.apache.parquet.schema.LogicalTypeAnnotation.StringLogicalTypeAnnotation;
import org.apache.parquet.schema.LogicalTypeAnnotation.TimeLogicalTypeAnnotation;
import org.apache.parquet.schema.LogicalTypeAnnotation.TimeUnit;
import org.apache.parquet.schema.LogicalTypeAnnotation.TimestampLogicalTypeAnnotation;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.PrimitiveType;
import org.apache.parquet.schema.Type;

public final class ReadParquet {
    private static final class Codecs implements CompressionCodecFactory {
        @Override
        public BytesInputCompressor getCompressor(CompressionCodecName name) {
            throw new UnsupportedOperationException("nothing is written");
        }

        @Override
        public BytesInputDecompressor getDecompressor(CompressionCodecName name) {
            return new Decompressor(name);
        }

        @Override
        public void release() {}
    }

    private static final class Decompressor implements CompressionCodecFactory.BytesInputDecompressor {
        private final CompressionCodecName name;

        Decompressor(CompressionCodecName name) {
            this.name = name;
        }

        private byte[] decompress(byte[] in, int size) throws IOException {
            byte[] out = new byte[size];
            int made;
            switch (name) {
                case UNCOMPRESSED:
                    return in;
                case SNAPPY:
                    made = new io.airlift.compress.snappy.SnappyDecompressor().decompress(in, 0, in.length, out, 0, size);
                    break;
                case ZSTD:
                    made = new io.airlift.compress.zstd.ZstdDecompressor().decompress(in, 0, in.length, out, 0, size);
                    break;
                case LZ4_RAW:
                    made = new io.airlift.compress.lz4.Lz4Decompressor().decompress(in, 0, in.length, out, 0, size);
                    break;
                case GZIP:
                    made = all(new GZIPInputStream(new ByteArrayInputStream(in)), out);
                    break;
                case BROTLI:
                    made = all(new org.brotli.dec.BrotliInputStream(new ByteArrayInputStream(in)), out);
                    break;
                default:
                    throw new IOException("codec " + name);
            }
            if (made != size) throw new IOException(name + " gave " + made + " bytes of " + size);
            return out;
        }

        private static int all(InputStream in, byte[] out) throws IOException {
            try (in) {
                int n = in.readNBytes(out, 0, out.length);
                if (in.read() >= 0) throw new IOException("more bytes than the page should have");
                return n;
            }
        }

        @Override
        public BytesInput decompress(BytesInput bytes, int size) throws IOException {
            return BytesInput.from(decompress(bytes.toByteArray(), size));
        }

        @Override
        public void decompress(ByteBuffer in, int inSize, ByteBuffer out, int outSize) throws IOException {
            byte[] bytes = new byte[inSize];
            in.get(bytes);
            out.put(decompress(bytes, outSize));
        }

        @Override
        public void release() {}
    }

    private static void text(StringBuilder out, String value) {
        out.append('"');
        for (int i = 0; i < value.length(); i++) {
            char c = value.charAt(i);
            if (c == '"' || c == '\\') out.append('\\').append(c);
            else if (c < 0x20 || c > 0x7e) out.append(String.format("\\u%04x", (int) c));
            else out.append(c);
        }
        out.append('"');
    }

    private static void bytes(StringBuilder out, byte[] value) {
        out.append("\"x:");
        for (byte b : value) out.append(Character.forDigit(b >> 4 & 15, 16)).append(Character.forDigit(b & 15, 16));
        out.append('"');
    }

    private static String bits(float value) {
        return Float.isNaN(value) ? "\"nan\"" : String.format("\"f:%08x\"", Float.floatToRawIntBits(value));
    }

    private static String bits(double value) {
        return Double.isNaN(value) ? "\"nan\"" : String.format("\"d:%016x\"", Double.doubleToRawLongBits(value));
    }

    private static BigInteger nanoseconds(long value, TimeUnit unit) {
        long factor = unit == TimeUnit.MILLIS ? 1_000_000 : unit == TimeUnit.MICROS ? 1_000 : 1;
        return BigInteger.valueOf(value).multiply(BigInteger.valueOf(factor));
    }

    private static String whole(long value, LogicalTypeAnnotation annotation, int bits) {
        if (annotation instanceof TimestampLogicalTypeAnnotation)
            return nanoseconds(value, ((TimestampLogicalTypeAnnotation) annotation).getUnit()).toString();
        if (annotation instanceof TimeLogicalTypeAnnotation)
            return nanoseconds(value, ((TimeLogicalTypeAnnotation) annotation).getUnit()).toString();
        if (annotation instanceof DecimalLogicalTypeAnnotation) return decimal(BigInteger.valueOf(value), annotation);
        if (annotation instanceof IntLogicalTypeAnnotation && !((IntLogicalTypeAnnotation) annotation).isSigned())
            return bits == 32 ? Integer.toUnsignedString((int) value) : Long.toUnsignedString(value);
        return Long.toString(value);
    }

    private static String decimal(BigInteger unscaled, LogicalTypeAnnotation annotation) {
        return "\"n:" + unscaled + "/" + ((DecimalLogicalTypeAnnotation) annotation).getScale() + "\"";
    }

    private static void binary(StringBuilder out, Binary value, PrimitiveType type) {
        LogicalTypeAnnotation annotation = type.getLogicalTypeAnnotation();
        if (annotation instanceof StringLogicalTypeAnnotation || annotation instanceof JsonLogicalTypeAnnotation
                || annotation instanceof EnumLogicalTypeAnnotation) text(out, value.toStringUsingUTF8());
        else if (annotation instanceof DecimalLogicalTypeAnnotation)
            out.append(decimal(new BigInteger(value.getBytes()), annotation));
        else if (annotation instanceof Float16LogicalTypeAnnotation)
            out.append(bits(Float.parseFloat(type.stringifier().stringify(value))));
        else bytes(out, value.getBytes());
    }

    private static void primitive(StringBuilder out, Group group, int field, int index, PrimitiveType type) {
        LogicalTypeAnnotation annotation = type.getLogicalTypeAnnotation();
        switch (type.getPrimitiveTypeName()) {
            case BOOLEAN: out.append(group.getBoolean(field, index)); break;
            case INT32: out.append(whole(group.getInteger(field, index), annotation, 32)); break;
            case INT64: out.append(whole(group.getLong(field, index), annotation, 64)); break;
            case FLOAT: out.append(bits(group.getFloat(field, index))); break;
            case DOUBLE: out.append(bits(group.getDouble(field, index))); break;
            case INT96: bytes(out, group.getInt96(field, index).getBytes()); break;
            default: binary(out, group.getBinary(field, index), type);
        }
    }

    private static void entries(StringBuilder out, Group list, boolean pairs) {
        GroupType repeated = list.getType().getType(0).asGroupType();
        out.append('[');
        for (int i = 0; i < list.getFieldRepetitionCount(0); i++) {
            if (i > 0) out.append(',');
            Group entry = list.getGroup(0, i);
            if (!pairs) {
                field(out, entry, 0);
                continue;
            }
            out.append('[');
            field(out, entry, repeated.getFieldIndex("key"));
            out.append(',');
            field(out, entry, repeated.getFieldIndex("value"));
            out.append(']');
        }
        out.append(']');
    }

    private static void field(StringBuilder out, Group group, int field) {
        Type type = group.getType().getType(field);
        if (type.isRepetition(Type.Repetition.REPEATED)) throw new IllegalStateException("repeated: " + type);
        if (group.getFieldRepetitionCount(field) == 0) out.append("null");
        else if (type.isPrimitive()) primitive(out, group, field, 0, type.asPrimitiveType());
        else if (type.getLogicalTypeAnnotation() instanceof ListLogicalTypeAnnotation)
            entries(out, group.getGroup(field, 0), false);
        else if (type.getLogicalTypeAnnotation() instanceof MapLogicalTypeAnnotation)
            entries(out, group.getGroup(field, 0), true);
        else record(out, group.getGroup(field, 0));
    }

    private static void record(StringBuilder out, Group group) {
        out.append('{');
        for (int i = 0; i < group.getType().getFieldCount(); i++) {
            if (i > 0) out.append(',');
            text(out, group.getType().getFieldName(i));
            out.append(':');
            field(out, group, i);
        }
        out.append('}');
    }

    private static long read(String path, StringBuilder out) throws IOException {
        ParquetReadOptions options = ParquetReadOptions.builder(new PlainParquetConfiguration())
                .withCodecFactory(new Codecs()).usePageChecksumVerification(true).build();
        long rows = 0;
        try (ParquetFileReader reader = ParquetFileReader.open(new LocalInputFile(Path.of(path)), options)) {
            MessageType schema = reader.getFooter().getFileMetaData().getSchema();
            MessageColumnIO columns = new ColumnIOFactory().getColumnIO(schema);
            for (PageReadStore pages; (pages = reader.readNextRowGroup()) != null; ) {
                RecordReader<Group> records = columns.getRecordReader(pages, new GroupRecordConverter(schema));
                for (long i = 0; i < pages.getRowCount(); i++, rows++) {
                    record(out, records.read());
                    out.append('\n');
                }
            }
        }
        return rows;
    }

    public static void main(String[] arguments) throws IOException {
        PrintStream answers = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        BufferedReader orders = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String path; (path = orders.readLine()) != null; ) {
            StringBuilder out = new StringBuilder();
            String head;
            try {
                head = "ok " + read(path, out);
            } catch (Exception | LinkageError error) {
                out.setLength(0);
                Throwable cause = error;
                while (cause.getCause() != null) cause = cause.getCause();
                head = "error " + (error + " / " + cause).replace('\n', ' ');
            }
            answers.print(head + "\n" + out);
            answers.flush();
        }
    }
}
